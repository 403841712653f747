"""What a new collection is made with."""

from __future__ import annotations

from retrieval.encoder.sentence import SentenceEncoder
from retrieval.index.storage.settings import (
    Canaries,
    ChunkSettings,
    CollectionSettings,
    LexicalSettings,
    VectorSettings,
)
from retrieval.search.encoder_check import CANARY_TEXTS
from retrieval.types import Schema


def new_settings(
    encoder: SentenceEncoder,
    *,
    chunking: ChunkSettings,
    lexical: LexicalSettings | None,
    vectors: VectorSettings,
    schema: Schema | None = None,
) -> CollectionSettings:
    """Settings of a collection whose vectors `encoder` makes; it encodes the texts to recognise it by."""
    return CollectionSettings(
        encoder=encoder.fingerprint,
        runtime=encoder.runtime.name,
        precision=encoder.runtime.precision,
        canaries=Canaries(CANARY_TEXTS, encoder.encode_passages(CANARY_TEXTS)),
        schema=schema,
        chunking=chunking,
        lexical=lexical,
        vectors=vectors,
    )
