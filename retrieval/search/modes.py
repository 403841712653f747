"""The three ways to rank passages: by meaning, by words, by both.

Each is a query at work on one open generation: it ranks the allowed rows, scores any rows the same way, and says
which rows match at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.index.vector_segments import CombinedVectors
from retrieval.index.word_index import WordQuery
from retrieval.search.fusion import Convex, Fusion, ReciprocalRank, first, union
from retrieval.types import Bitmap, Mode, Ranking, Rows, Scores

_RANKED = 200  # candidates of each list, where ranks among them count
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

    def __init__(self, vectors: CombinedVectors, vector: NDArray[np.float32], allowed: Bitmap, *, exact: bool) -> None:
        self.allowed: Bitmap | None = allowed
        self._vectors = vectors
        self._vector = vector
        self._allowed = allowed
        self._exact = exact
        self._known = np.zeros(len(vectors), np.float32)  # scores so far; 0 for unknown

    def rank(self, k: int) -> Ranking:
        found = self._vectors.search(self._vector[np.newaxis], k, allowed=self._allowed, exact=self._exact)[0]
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

    def __init__(self, words: WordQuery) -> None:
        self.allowed = words.within
        self._words = words

    def rank(self, k: int) -> Ranking:
        return self._words.search(k)

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

    def __init__(
        self, dense: DenseRetrieval, words: WordQuery, *, weight: float, rrf_k: int | None, rows_allowed: int
    ) -> None:
        self.allowed = dense.allowed
        self._dense = dense
        self._words = words
        self._weight = weight
        self._rrf_k = rrf_k  # None: convex
        self._rows_allowed = rows_allowed
        self._first_words = _FIRST_WORDS if rrf_k is None else _RANKED
        top = words.search(self._first_words).scores  # which `rank` asks for too
        self._convex = Convex(weight, float(top[0]) if len(top) else 0.0)
        self._fusion: Fusion | None = None if rrf_k is not None else self._convex

    @property
    def _words_alone(self) -> bool:
        return self._weight == 0.0

    def rank(self, k: int) -> Ranking:
        if self._words_alone:
            found = self._words.search(k)
            return first(found.rows, self._fused(found.rows)[0], k)
        near = max(_RANKED if self._rrf_k is not None else _FIRST_NEAR, 2 * k)
        while True:
            asked = max(self._first_words, near)
            dense, lexical = self._dense.rank(near), self._words.search(asked)
            rows = union(dense, lexical)
            scores, fusion = self._fused(rows)
            ranking = first(rows, scores, k)
            if len(dense.rows) >= self._rows_allowed:
                return ranking
            floor = float(lexical.scores[-1]) if len(lexical.rows) == asked else 0.0
            if len(ranking.rows) == k and ranking.scores[-1] > fusion.unseen(float(dense.scores[-1]), floor):
                return ranking
            near *= 4

    def score(self, rows: Rows) -> RowScores:
        dense, lexical = self._both(rows)
        fusion = self._fusion or self._ranked_once()
        fused = fusion.score(dense.astype(np.float64), lexical.astype(np.float64)).astype(np.float32)
        return RowScores(fused, dense, lexical, fused)

    def matches(self) -> Bitmap:
        return self._words.matches() if self._words_alone else self._dense.matches()

    def _fused(self, rows: Rows) -> tuple[NDArray[np.float64], Fusion]:
        """Fused scores of candidates.  Ranks, where they count, are those among them."""
        dense, lexical = (scores.astype(np.float64) for scores in self._both(rows))
        fusion: Fusion = self._convex
        if self._rrf_k is not None:
            fusion = self._fusion = ReciprocalRank(self._weight, self._rrf_k, np.sort(dense), np.sort(lexical))
        return fusion.score(dense, lexical), fusion

    def _both(self, rows: Rows) -> tuple[Scores, Scores]:
        dense = self._dense.score(rows).score
        return dense, self._words.score(rows)

    def _ranked_once(self) -> Fusion:
        """Ranks need candidates."""
        self.rank(1)
        assert self._fusion is not None
        return self._fusion
