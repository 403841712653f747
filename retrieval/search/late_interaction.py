"""Rerank by late interaction, with the token vectors that a collection stores.

The query is encoded once.  A collection that stores no token vectors of the model has its passages encoded for each
search, as for a cross-encoder.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder.late_interaction import LateInteractionEncoder
from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.vectors.token_codes import TokenCodec, late_score, token_products
from retrieval.types import Rows, Scores, Vectors
from retrieval.util.work_budget import checkpoint

TokenSimilarities = NDArray[np.float32]  # (tokens of the query, tokens of a passage)


class LateReranker:
    """Scores passages by late interaction.  Safe to call from several threads."""

    def __init__(self, encoder: LateInteractionEncoder) -> None:
        self.encoder = encoder

    def score(self, query: str, texts: Sequence[str]) -> Scores:
        """Return the score of the query with each text, (n,)."""
        return self._scores(self.text_similarities(self.encoder.encode_query(query), texts))

    def shares(self, query: str, scores: Scores) -> Scores:
        """Return the mean similarity of the query's tokens for each score, 0 to 1."""
        tokens = 1 if self.encoder.mean else max(1, len(self.encoder.query_tokens(query).words))
        return np.asarray(np.clip(scores / tokens, 0.0, 1.0), dtype=np.float32)

    def score_stored(self, query: str, reader: IndexReader, rows: Rows) -> Scores:
        """Return the score of the query with each passage, (n,), from its stored vectors."""
        return self.score_vectors(self.encoder.encode_query(query), reader, rows)

    def score_vectors(self, query: Vectors, reader: IndexReader, rows: Rows) -> Scores:
        """Score passages as `score_stored` does, for the vectors of a query's tokens."""
        return self._scores(self.stored_similarities(query, reader, rows))

    def is_stored(self, reader: IndexReader) -> bool:
        """Check whether a collection stores this model's token vectors."""
        settings = reader.manifest.settings.tokens
        return settings is not None and not settings.encoder.differences(self.encoder.fingerprint)

    def text_similarities(self, query: Vectors, texts: Sequence[str]) -> list[TokenSimilarities]:
        """Return the inner products of tokens for each text, which is encoded."""
        return [token_products(query, passage) for passage in self.encoder.encode_passages(texts)]

    def stored_similarities(self, query: Vectors, reader: IndexReader, rows: Rows) -> list[TokenSimilarities]:
        """Return the inner products of tokens for each passage of a collection."""
        settings = reader.manifest.settings.tokens
        assert settings is not None, "the caller knows that the collection stores token vectors"
        codec = TokenCodec(settings.encoder.dimension, settings.bits)
        checkpoint()
        return [codec.similarities(query, each.codes, each.means[0]) for each in reader.token_codes(rows)]

    def _scores(self, passages: Sequence[TokenSimilarities]) -> Scores:
        mean = self.encoder.mean
        return np.array([late_score(similarities, mean=mean) for similarities in passages], dtype=np.float32)
