"""Two rankings to one: pure functions of passages' scores and ranks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.types import Rows, Scores

Values = NDArray[np.float64]

CONVEX_WEIGHT = 0.7  # of the cosine, for text that the encoder can read
RANK_WEIGHT = 0.5  # of the rank by cosine


@dataclass(frozen=True, slots=True)
class Convex:
    """`weight · cosine + (1 - weight) · bm25 / best`, `best` being the query's greatest BM25 among the allowed rows.

    The theoretical minimum and maximum normalise the two (Bruch et al. 2023, "An Analysis of Fusion Functions for
    Hybrid Retrieval"); without any match of words the second part is 0.  A fused score depends on the passage's own
    cosine and BM25, never on which list it was found in.
    """

    weight: float
    best: float

    def score(self, dense: Values, lexical: Values) -> Values:
        words = lexical / self.best if self.best > 0 else np.zeros_like(lexical)
        return self.weight * dense + (1.0 - self.weight) * words

    def unseen(self, dense_floor: float, lexical_floor: float) -> float:
        """The most that a passage can have whose scores are at most these: when the first k cannot change any more
        (the threshold algorithm of Fagin, Lotem and Naor 2001)."""
        return float(self.score(np.array([dense_floor]), np.array([lexical_floor]))[0])


def reciprocal_ranks(scores: Scores, k: int) -> Values:
    """`1 / (k + rank)` of scores in descending order (Cormack, Clarke and Büttcher 2009); equal ones share a rank."""
    ranks = 1 + np.searchsorted(-scores, -scores, side="left")
    return 1.0 / (k + ranks)


def union(some: Rows, others: Rows) -> Rows:
    """The rows of either, ascending; sorted, which for so few takes a seventh of numpy's own union."""
    rows = np.sort(np.concatenate((some, others)))
    new = np.ones(len(rows), np.bool_)
    new[1:] = rows[1:] != rows[:-1]
    return rows[new]
