"""Two rankings to one: pure functions of a passage's two scores.

A fused score depends on the passage's own cosine and BM25, never on which list it was found in.  `unseen` says what a
passage in neither list can reach at most, so that the searcher knows when the first k cannot change any more (the
threshold algorithm of Fagin, Lotem and Naor 2001).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.index.top import best
from retrieval.types import Ranking, Rows

Values = NDArray[np.float64]

CONVEX_WEIGHT = 0.7  # of the cosine, for text that the encoder can read
RANK_WEIGHT = 0.5  # of the rank by cosine


class Fusion(Protocol):
    """How two scores become one."""

    def score(self, dense: Values, lexical: Values) -> Values: ...

    def unseen(self, dense_floor: float, lexical_floor: float) -> float:
        """The most that a passage can have whose scores are at most these."""
        ...


@dataclass(frozen=True, slots=True)
class Convex:
    """`weight · cosine + (1 - weight) · bm25 / best`, `best` being the query's greatest BM25 among the allowed rows.

    The theoretical minimum and maximum normalise the two (Bruch et al. 2023, "An Analysis of Fusion Functions for
    Hybrid Retrieval"); without any match of words the second part is 0.
    """

    weight: float
    best: float

    def score(self, dense: Values, lexical: Values) -> Values:
        words = lexical / self.best if self.best > 0 else np.zeros_like(lexical)
        return self.weight * dense + (1.0 - self.weight) * words

    def unseen(self, dense_floor: float, lexical_floor: float) -> float:
        return float(self.score(np.array([dense_floor]), np.array([lexical_floor]))[0])


@dataclass(frozen=True, slots=True)
class ReciprocalRank:
    """`2 · weight / (k + rank by cosine) + 2 · (1 - weight) / (k + rank by BM25)`, the latter for passages with a word
    of the query only; with a weight of a half, the sum of Cormack, Clarke and Büttcher 2009.

    Ranks are those among the candidates of both lists, whose scores are given in ascending order; equal scores have
    equal ranks.
    """

    weight: float
    k: int
    dense: Values
    lexical: Values

    def score(self, dense: Values, lexical: Values) -> Values:
        words = np.where(lexical > 0, 2.0 * (1.0 - self.weight) / (self.k + _rank(self.lexical, lexical)), 0.0)
        return 2.0 * self.weight / (self.k + _rank(self.dense, dense)) + words

    def unseen(self, dense_floor: float, lexical_floor: float) -> float:
        return float(self.score(np.array([dense_floor]), np.array([lexical_floor]))[0])


def _rank(ascending: Values, scores: Values) -> NDArray[np.int64]:
    """1 and how many of `ascending` are greater."""
    return 1 + len(ascending) - np.searchsorted(ascending, scores, side="right")


def union(dense: Ranking, lexical: Ranking) -> Rows:
    """The rows of either list, ascending; sorted, which for so few takes a seventh of numpy's own union."""
    rows = np.sort(np.concatenate((dense.rows, lexical.rows)))
    new = np.ones(len(rows), np.bool_)
    new[1:] = rows[1:] != rows[:-1]
    return rows[new]


def first(rows: Rows, scores: Values, k: int) -> Ranking:
    """The k best rows by (score descending, row ascending)."""
    return best(rows, scores.astype(np.float32), k)
