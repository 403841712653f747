"""Build the sparse index of a pending generation.

The commit encodes the live passages that the index lacks: new ones, or all when a collection gets a sparse encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from indexer.writing.needed_passages import NeededPassages
from indexer.writing.pending_segments import PendingSegment
from retrieval.encoder.sparse import WINDOW_TEXTS, SparseEncoder, load_sparse_encoder
from retrieval.index.collection.document_store import passage_text
from retrieval.index.lexical.impact_writer import ImpactWriter
from retrieval.index.storage.manifest import PostingsRecord
from retrieval.index.storage.settings import MAX_IMPACT, SparseSettings
from retrieval.search.encoder_check import CANARY_TEXTS, check_fingerprint
from retrieval.util.files import Files

SCALE_MARGIN = 1.5  # of the greatest weight in a few texts: weights of other texts may be greater


def sparse_settings(encoder: SparseEncoder) -> SparseSettings:
    """Return the settings of a new sparse index.

    The scale comes from a few fixed texts, so that it does not depend on the documents.
    """
    greatest = max(float(vector.weights.max(initial=0.0)) for vector in encoder.encode_passages(CANARY_TEXTS))
    return SparseSettings(encoder.fingerprint, SCALE_MARGIN * (greatest or 1.0) / MAX_IMPACT)


def write_sparse_index(
    collection: Path,
    segments: Sequence[PendingSegment],
    settings: SparseSettings | None,
    previous: PostingsRecord | None,
    files: Files,
    *,
    encoder: SparseEncoder | None = None,
    compact: bool = False,
) -> PostingsRecord | None:
    """Add the live passages that `previous` lacks, and leave out deleted ones.

    `encoder` is that of the settings; without it, passages to encode load it.  `compact` also removes the weights of
    deleted passages from the disk.  Return None for a collection without a sparse index.  Raises EncoderError,
    EncoderMismatch.
    """
    if settings is None:
        return None
    writer = ImpactWriter(collection, settings, previous, files)
    needed = NeededPassages.of(segments, writer.missing)
    if len(needed.missing_keys):
        encoder = encoder or load_sparse_encoder(settings.encoder.name)
        check_fingerprint(collection.name, settings.encoder, encoder.fingerprint)
        _add_passages(writer, needed, encoder)
    return writer.commit(needed.live_keys, compact=compact)


def _add_passages(writer: ImpactWriter, needed: NeededPassages, encoder: SparseEncoder) -> None:
    for block in needed.scan_missing():
        texts = [passage_text(title, "", text) for title, text in zip(block.titles, block.texts, strict=True)]
        for start in range(0, len(texts), WINDOW_TEXTS):
            some = slice(start, start + WINDOW_TEXTS)
            writer.add(block.keys[some], encoder.encode_passages(texts[some]), encoder.tokens)
