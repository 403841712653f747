"""Queries with known exact answers, which measure the recall of an ANN index.

There are two kinds: the vectors of passages, and queries made from other passages.  Made queries are not equal to any
passage, as real queries are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.index.vectors.exact import FlatVectors, exact_search
from retrieval.index.vectors.store import StoredVectors
from retrieval.types import Bitmap, Ranking, Vectors

KINDS = 2
TRUTH_DEPTH = 128  # exact neighbours of each query: enough to see ties with the k-th
DRIFT = 0.4  # distance of a made query from its passage; see `make_queries`


def make_queries(passages: Vectors, others: Vectors, rng: np.random.Generator) -> Vectors:
    """Make a query near each passage: (n, d), normalized.

    Each passage moves by DRIFT along the difference of two other vectors, a direction that occurs in the data.  On
    encoded trivia questions, this DRIFT gives the recall of queries with two thirds of a passage's words.
    """
    left, right = rng.integers(len(others), size=(2, len(passages)))
    moved = passages + np.float32(DRIFT) * (others[left] - others[right])
    return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True), dtype=np.float32)


def interleave(passages: Vectors, queries: Vectors) -> Vectors:
    """Alternate passages and queries, (n, d): the first few are of both kinds, too."""
    count = min(len(passages), len(queries))
    return np.stack((passages[:count], queries[:count]), axis=1).reshape(KINDS * count, -1)


@dataclass(frozen=True, slots=True)
class Probe:
    """Alternating queries of both kinds, with their exact neighbours."""

    queries: Vectors
    truth: Sequence[Ranking]

    @classmethod
    def among(cls, vectors: StoredVectors, queries: Vectors, allowed: Bitmap) -> Probe:
        """Find the exact neighbours of the queries among the allowed rows."""
        return cls(queries, exact_search(FlatVectors(vectors), queries, TRUTH_DEPTH, allowed))

    def first(self, count: int) -> Probe:
        """Return the first `count` queries."""
        return Probe(self.queries[:count], self.truth[:count])

    def neighbours(self, number: int, k: int) -> NDArray[np.int64]:
        """Return the rows that score at least as high as the k-th neighbour of a query."""
        ranking = self.truth[number]
        return ranking.rows if len(ranking.rows) <= k else ranking.rows[ranking.scores >= ranking.scores[k - 1]]

    def recalls(self, found: NDArray[np.int64], k: int) -> NDArray[np.float32]:
        """Return recall@k by query and number of rescored candidates: (queries, depth).

        found: (queries, depth), candidate rows, best first.  Exact rescoring finds each neighbour's true rank.
        """
        hits = np.empty(found.shape, dtype=np.float32)
        for number, rows in enumerate(found):
            neighbours = self.neighbours(number, k)
            wanted = max(1, min(k, len(neighbours)))
            hits[number] = np.minimum(np.cumsum(np.isin(rows, neighbours)), wanted) / wanted
        return hits
