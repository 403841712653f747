"""BM25: statistics of a collection, and the scores of a term.

    score(q, p) = Σ over terms t of q:  n(t, q) · idf(t) · (k1 + 1) · f(t, p) / (f(t, p) + k1 · (1 - b + b · |p| / avg))
    idf(t) = ln(1 + (N - df(t) + ½) / (df(t) + ½))

N, df and avg, the average length, count live passages only (Robertson and Zaragoza 2009; idf as in Lucene).  They come
from `CollectionStatistics`, which may count more passages than the index has: a shard scores its passages with the
statistics of all shards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.index.lexical.postings import TermPostings
from retrieval.index.storage.settings import LexicalSettings
from retrieval.types import Rows


@dataclass(frozen=True, slots=True)
class CollectionStatistics:
    """Counts of live passages for BM25; add those of several indexes to score as one."""

    num_passages: int
    total_length: float  # of all passages in terms, the title weighted
    doc_freq: Mapping[str, int]  # number of passages that contain a term, for each term of the query

    @property
    def average_length(self) -> float:
        """The mean length of a passage in terms; 1.0 if no passage has a term."""
        return self.total_length / self.num_passages if self.total_length else 1.0

    def idf(self, term: str) -> float:
        """Return the inverse document frequency of a term of the query."""
        doc_freq = self.doc_freq[term]
        return float(np.log1p((self.num_passages - doc_freq + 0.5) / (doc_freq + 0.5)))

    def __add__(self, other: CollectionStatistics) -> CollectionStatistics:
        terms = dict.fromkeys((*self.doc_freq, *other.doc_freq))
        return CollectionStatistics(
            self.num_passages + other.num_passages,
            self.total_length + other.total_length,
            {term: self.doc_freq.get(term, 0) + other.doc_freq.get(term, 0) for term in terms},
        )


class LengthNorms:
    """The length normalization of each row: k1 · (1 - b + b · |p| / avg)."""

    def __init__(self, lengths: NDArray[np.float64], settings: LexicalSettings, average_length: float) -> None:
        self.average_length = average_length
        self.k1 = settings.k1
        self.b = settings.b_at(average_length)
        self.values = self.k1 * (1.0 - self.b + self.b * lengths / average_length)  # (rows,)
        self.values_float32 = self.values.astype(np.float32)

    def max_saturation(self, postings: TermPostings) -> float:
        """Return an upper bound of f / (f + norm) for a term in a segment."""
        flat = self.k1 * (1.0 - self.b) / postings.max_frequency
        return 1.0 / (1.0 + flat + self.k1 * self.b * postings.sparsest / self.average_length)


class Bm25Weighting:
    """The score of a term of a query; `weight` is n(t, q) · idf(t) · (k1 + 1)."""

    def __init__(self, weight: float, norms: LengthNorms) -> None:
        self.weight = weight
        self._norms = norms

    def max_score(self, postings: TermPostings) -> float:
        """Return an upper bound of the scores of the term in a segment."""
        return self.weight * self._norms.max_saturation(postings)

    def score(self, rows: Rows, frequencies: NDArray[Any]) -> NDArray[np.float64]:
        """Return the score of each of `rows`, in which the term has these frequencies."""
        frequency = frequencies.astype(np.float64)
        return self.weight * frequency / (frequency + self._norms.values[rows])

    def score_float32(self, rows: Rows, frequencies: NDArray[Any]) -> NDArray[np.float32]:
        """Return the scores in less time, rounded."""
        scores = frequencies.astype(np.float32)
        scores /= scores + self._norms.values_float32[rows]
        scores *= np.float32(self.weight)
        return scores
