"""The sparse index of an open generation: ranks by the weights of terms.

score(q, p) = Σ over terms t of q:  weight(t, q) · impact(t, p) · scale
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.explanations import WeightedTerm
from retrieval.index.lexical.postings import LiveRows, TermPostings
from retrieval.index.lexical.postings_writer import open_segments
from retrieval.index.lexical.scorers import PostingsQuery
from retrieval.index.lexical.term_index import TermIndex
from retrieval.index.lexical.term_scores import TermScores
from retrieval.index.storage.manifest import PostingsRecord
from retrieval.index.storage.settings import SparseSettings
from retrieval.types import Bitmap, Rows, TermWeights


class ImpactWeighting:
    """The score of one term of a query: its weight times the impact in a passage."""

    def __init__(self, weight: float) -> None:
        self.weight = weight  # times the scale

    def max_score(self, postings: TermPostings) -> float:
        """Return the greatest score of the term in a segment."""
        return self.weight * postings.max_frequency

    def score(self, rows: Rows, frequencies: NDArray[Any]) -> NDArray[np.float64]:  # noqa: ARG002
        """Return the score for each impact; the rows do not matter."""
        return self.weight * frequencies.astype(np.float64)

    def score_float32(self, rows: Rows, frequencies: NDArray[Any]) -> NDArray[np.float32]:  # noqa: ARG002
        """Return the scores in less time, rounded."""
        return np.float32(self.weight) * frequencies.astype(np.float32)


class SparseReader:
    """The sparse index of an open generation.  Safe to call from several threads."""

    def __init__(self, rows: LiveRows, settings: SparseSettings) -> None:
        self.settings = settings
        self.live_rows = rows
        self._index = TermIndex(rows)

    def query(self, weights: TermWeights, allowed: Bitmap | None = None) -> PostingsQuery:
        """Open a query once, to rank and score it.  allowed: (rows,), those of a filter."""
        terms = [scores for _, _, scores in self._terms(weights)]
        return PostingsQuery(terms, self._index.rows, allowed)

    def weighted_query(self, terms: Sequence[tuple[str, float]], allowed: Bitmap | None = None) -> PostingsQuery:
        """Open a query by terms with their weights times the scale, in its order."""
        found = ((text, weight, self._index.term(text).postings) for text, weight in terms)
        scores = [
            TermScores(text, ImpactWeighting(weight), self._index.rows, postings)
            for text, weight, postings in found
            if postings
        ]
        return PostingsQuery(scores, self._index.rows, allowed)

    def weighted_terms(self, weights: TermWeights, row: int) -> tuple[WeightedTerm, ...]:
        """Split the score of a row by the terms of the query that the passage has."""
        rows = np.array([row], np.int64)
        scored = ((text, weight, float(scores.score(rows)[0])) for text, weight, scores in self._terms(weights))
        return tuple(WeightedTerm(text, score, weight, score / weight) for text, weight, score in scored if score)

    def _terms(self, weights: Mapping[str, float]) -> Iterator[tuple[str, float, TermScores]]:
        """Yield each term of the query that the index has, with its weight and its scores."""
        for text, weight in weights.items():
            postings = self._index.term(text).postings
            if postings and weight > 0.0:
                weighting = ImpactWeighting(weight * self.settings.scale)
                yield text, weight, TermScores(text, weighting, self._index.rows, postings)


def open_sparse(
    collection: Path, record: PostingsRecord, settings: SparseSettings, keys: NDArray[np.uint64], live: Bitmap
) -> SparseReader:
    """Open the sparse index of a generation.  Raises CorruptCollection.

    keys: (rows,), the key of each row, ascending.  live: (rows,).
    """
    return SparseReader(LiveRows.located(open_segments(collection, record), keys, live), settings)
