"""Queries whose exact answers are known, to measure a structure with.

Two kinds are asked: passages' own vectors, and queries made from other passages, which lie where no passage lies, as
real queries do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.index.vectors.exact import Flat, exact_search
from retrieval.index.vectors.store import Kept
from retrieval.types import Bitmap, Ranking, Vectors

KINDS = 2
TRUTH_DEPTH = 128  # exact neighbours known of each query, so that ties with the last that counts are seen
DRIFT = 0.4  # how far a made query is from its passage; see `make_queries`


def make_queries(passages: Vectors, others: Vectors, rng: np.random.Generator) -> Vectors:
    """Queries near passages, (n, d): each is moved along the difference of two other vectors, a natural direction.

    On encoded trivia questions, `DRIFT` gives the recall of queries that hold two thirds of a passage's words.
    """
    left, right = rng.integers(len(others), size=(2, len(passages)))
    moved = passages + np.float32(DRIFT) * (others[left] - others[right])
    return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True), dtype=np.float32)


def of_both_kinds(passages: Vectors, queries: Vectors) -> Vectors:
    """Passages and queries in turn, (n, d), so that the first few are of both kinds too."""
    count = min(len(passages), len(queries))
    return np.stack((passages[:count], queries[:count]), axis=1).reshape(KINDS * count, -1)


@dataclass(frozen=True, slots=True)
class Probe:
    """Queries of both kinds in turn, with their exact neighbours."""

    queries: Vectors
    truth: Sequence[Ranking]

    @classmethod
    def among(cls, vectors: Kept, queries: Vectors, allowed: Bitmap) -> Probe:
        """With the neighbours among the rows that are present and allowed."""
        return cls(queries, exact_search(Flat(vectors), queries, TRUTH_DEPTH, allowed))

    def first(self, count: int) -> Probe:
        """The first so many queries."""
        return Probe(self.queries[:count], self.truth[:count])

    def neighbours(self, number: int, k: int) -> NDArray[np.int64]:
        """Rows that score no less than the k-th neighbour of a query."""
        ranking = self.truth[number]
        if len(ranking.rows) <= k:
            return ranking.rows
        rows: NDArray[np.int64] = ranking.rows[ranking.scores >= ranking.scores[k - 1]]
        return rows

    def recalls(self, found: NDArray[np.int64], k: int) -> NDArray[np.float32]:
        """Recall@k by query and by depth, (queries, depth), if only the first so many candidates were rescored.

        A neighbour among the candidates is always ranked where it belongs, since rescoring is exact.
        """
        hits = np.empty(found.shape, dtype=np.float32)
        for number, rows in enumerate(found):
            neighbours = self.neighbours(number, k)
            wanted = max(1, min(k, len(neighbours)))
            hits[number] = np.minimum(np.cumsum(np.isin(rows, neighbours)), wanted) / wanted
        return hits
