"""The three ways to rank passages: by meaning, by words, by both.

Each is a query at work on one open generation: it ranks the allowed rows, scores any rows the same way, and says
which rows match at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.index.lexical.reader import LexicalQuery
from retrieval.index.vectors.multi_segment import CombinedVectors
from retrieval.search.fusion import Convex, reciprocal_ranks, union
from retrieval.types import Bitmap, Mode, Ranking, Rows, Scores

LISTED = 1000  # rows of each list, where ranks count: the same for every page, so that ranks are the same too
_FIRST_WORDS = 100  # candidates where scores count; more and more, until the answer cannot change
_FIRST_NEAR = 50  # of them by cosine: mostly enough, and a graph takes longer the more it is to find


@dataclass(frozen=True, slots=True)
class RowScores:
    """Scores of some rows, (n,) each; None where a retriever does not take part.  `score` is what ranks."""

    score: Scores
    dense: Scores | None = None
    lexical: Scores | None = None
    fused: Scores | None = None


class Retrieval(Protocol):
    """A query at work."""

    mode: Mode
    allowed: Bitmap | None  # rows that a filter, phrases and exclusions leave; None: all the live ones
    words_alone: bool  # whether of these only rows with a word of the query match

    def rank(self, k: int) -> Ranking:
        """The k best allowed rows, by (score descending, row ascending); fewer where fewer match."""
        ...

    def score(self, rows: Rows) -> RowScores: ...

    def matches(self) -> Bitmap:
        """The rows that `rank` would return for a k without bounds."""
        ...


class DenseRetrieval:
    """By cosine: every allowed row matches.  A row is scored once."""

    mode = Mode.DENSE
    words_alone = False

    def __init__(self, vectors: CombinedVectors, vector: NDArray[np.float32], allowed: Bitmap, *, exact: bool) -> None:
        self.allowed: Bitmap | None = allowed
        self._vectors = vectors
        self._vector = vector
        self._allowed = allowed
        self._exact = exact
        self._known = np.zeros(len(vectors), np.float32)  # scores so far; 0 for unknown

    def rank(self, k: int, *, exact: bool = False) -> Ranking:
        exact = exact or self._exact
        found = self._vectors.search(self._vector[np.newaxis], k, allowed=self._allowed, exact=exact)[0]
        self._known[found.rows] = found.scores
        return found

    def score(self, rows: Rows) -> RowScores:
        unknown = rows[self._known[rows] == 0.0]
        if len(unknown):
            self._known[unknown] = self._vectors.score(self._vector, unknown)
        scores = self._known[rows]
        return RowScores(scores, dense=scores)

    def matches(self) -> Bitmap:
        return self._allowed


class LexicalRetrieval:
    """By BM25: rows with a word of the query match."""

    mode = Mode.LEXICAL
    words_alone = True

    def __init__(self, words: LexicalQuery) -> None:
        self.allowed = words.allowed
        self._words = words

    def rank(self, k: int) -> Ranking:
        return self._words.rank(k)

    def score(self, rows: Rows) -> RowScores:
        scores = self._words.score(rows)
        return RowScores(scores, lexical=scores)

    def matches(self) -> Bitmap:
        return self._words.matches()


class HybridRetrieval:
    """By both scores fused: every allowed row matches; with a weight of 0, as in LexicalRetrieval.

    The first k are those of a comparison of all rows (as far as the vector index is exact): candidates of both lists
    are taken, more and more, until no row in neither list can come in.
    """

    mode = Mode.HYBRID

    def __init__(self, dense: DenseRetrieval, words: LexicalQuery, *, weight: float, rows_allowed: int) -> None:
        self.allowed = dense.allowed
        self.words_alone = weight == 0.0
        self._dense = dense
        self._words = words
        self._rows_allowed = rows_allowed
        top = words.rank(_FIRST_WORDS).scores  # which `rank` asks for too
        self._fusion = Convex(weight, float(top[0]) if len(top) else 0.0)

    def rank(self, k: int) -> Ranking:
        if self.words_alone:
            found = self._words.rank(k)
            return Ranking.top(found.rows, self.score(found.rows).score, k)
        near = max(_FIRST_NEAR, 2 * k)
        while True:
            asked = max(_FIRST_WORDS, near)
            dense, lexical = self._dense.rank(near), self._words.rank(asked)
            rows = union(dense.rows, lexical.rows)
            ranking = Ranking.top(rows, self.score(rows).score, k)
            if len(dense.rows) >= self._rows_allowed:
                return ranking
            floor = float(lexical.scores[-1]) if len(lexical.rows) == asked else 0.0
            if len(ranking.rows) == k and ranking.scores[-1] > self._fusion.unseen(float(dense.scores[-1]), floor):
                return ranking
            near *= 4

    def score(self, rows: Rows) -> RowScores:
        dense, lexical = self._dense.score(rows).score, self._words.score(rows)
        fused = self._fusion.score(dense.astype(np.float64), lexical.astype(np.float64)).astype(np.float32)
        return RowScores(fused, dense, lexical, fused)

    def matches(self) -> Bitmap:
        return self._words.matches() if self.words_alone else self._dense.matches()


class RankRetrieval:
    """By both ranks fused; matches as HybridRetrieval does.

    Ranks are those in two lists of at most LISTED rows, and a row has nothing of a list that it is not in.  Rows in
    neither follow with scores below 0: by cosine, with a weight of 0 by BM25, which these scores are less 1.  So a
    row's score depends on the query and the allowed rows alone, however many are asked for.
    """

    mode = Mode.HYBRID

    def __init__(self, dense: DenseRetrieval, words: LexicalQuery, *, weight: float, rrf_k: int, rows: int) -> None:
        self.allowed = dense.allowed
        self.words_alone = weight == 0.0
        self._dense = dense
        self._words = words
        self._given = np.zeros(rows, np.float32)
        self._listed = np.empty(0, np.int64)
        for share, found in ((weight, dense.rank), (1.0 - weight, words.rank)):
            if share > 0.0:
                ranking = found(LISTED)
                self._given[ranking.rows] += 2.0 * share * reciprocal_ranks(ranking.scores, rrf_k)
                self._listed = union(self._listed, ranking.rows)
        top = words.rank(1).scores
        self._most_words = float(top[0]) if len(top) else 1.0

    def rank(self, k: int) -> Ranking:
        rows = self._listed
        if len(rows) < k:
            more = self._words.rank(k) if self.words_alone else self._dense.rank(k, exact=True)
            rows = union(rows, more.rows)
        return Ranking.top(rows, self.score(rows).score, k)

    def score(self, rows: Rows) -> RowScores:
        dense, lexical = self._dense.score(rows).score, self._words.score(rows)
        given = self._given[rows]
        behind = np.minimum((lexical / self._most_words if self.words_alone else dense) - 1.0, 0.0)
        fused = np.where(given > 0.0, given, behind).astype(np.float32)
        return RowScores(fused, dense, lexical, fused)

    def matches(self) -> Bitmap:
        return self._words.matches() if self.words_alone else self._dense.matches()
