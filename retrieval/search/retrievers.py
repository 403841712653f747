"""Retrievers: dense, BM25 and sparse, each opened for one query on one generation.

To add a retriever, write a class that satisfies `protocols.Retriever` and append it to `RETRIEVERS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.lexical.scorers import PostingsQuery
from retrieval.protocols import Retriever
from retrieval.types import Bitmap, Mode, Ranking, Rows, Scores


@dataclass(frozen=True, slots=True)
class RetrieverQuery:
    """The query that a plan hands to its retrievers."""

    reader: IndexReader
    allowed: Bitmap | None  # rows that filter, phrases and exclusions leave, (rows,); None: all live rows
    vector: NDArray[np.float32] | None  # (dimension,); None in lexical mode
    lexical: PostingsQuery | None  # None in dense mode
    exact: bool
    sparse: PostingsQuery | None = None  # None in dense and lexical mode
    window_share: float = 0.0  # part of the best window in a passage's cosine

    @property
    def allowed_rows(self) -> Bitmap:
        return self.reader.live if self.allowed is None else self.allowed & self.reader.live


class RetrieverType(Protocol):
    """A class of retrievers: its name, and how to open one for a query."""

    @property
    def name(self) -> str: ...

    def __call__(self, query: RetrieverQuery) -> Retriever: ...


BACKGROUND_DEVIATIONS = 6.0  # of unrelated cosines, from their mean to a cosine that score fusion maps to 1


class DenseRetriever:
    """Ranks by cosine; every allowed row matches.  Scores each row once."""

    name: ClassVar[str] = Mode.DENSE.value
    matches_all: ClassVar[bool] = True
    min_candidates: ClassVar[int] = 50  # mostly enough for fusion; a graph index takes longer for more

    def __init__(self, query: RetrieverQuery) -> None:
        assert query.vector is not None
        self._vectors = query.reader.dense_vectors(query.window_share)
        self._vector = query.vector
        self._allowed = query.allowed_rows
        self._exact = query.exact
        self._background = query.reader.manifest.background
        self._ranked_k, self._last_score = 0, 1.0  # of the last ranking; 1 is the greatest cosine
        self._known = np.zeros(len(self._vectors), np.float32)  # scores computed so far; 0 for none

    @property
    def score_range(self) -> tuple[float, float]:
        background = self._background
        if background is None:
            return 0.0, 1.0
        return background.mean, background.mean + BACKGROUND_DEVIATIONS * background.deviation

    def rank(self, k: int, *, exact: bool = False) -> Ranking:
        exact = exact or self._exact
        ranking = self._vectors.search(self._vector[np.newaxis], k, allowed=self._allowed, exact=exact)[0]
        self._known[ranking.rows] = ranking.scores
        self._ranked_k, self._last_score = k, float(ranking.scores[-1]) if len(ranking.scores) else 1.0
        return ranking

    def score(self, rows: Rows) -> Scores:
        unknown = rows[self._known[rows] == 0.0]
        if len(unknown):
            self._known[unknown] = self._vectors.score(self._vector, unknown)
        scores: Scores = self._known[rows]
        return scores

    def matches(self) -> Bitmap:
        return self._allowed

    def upper_bound(self, k: int) -> float:
        if k == 0:
            return 1.0
        if k != self._ranked_k:
            self.rank(k)
        return self._last_score


class PostingsRetriever:
    """Ranks by an inverted index; the rows with a term of the query match."""

    matches_all: ClassVar[bool] = False
    min_candidates: ClassVar[int] = 100

    def __init__(self, query: PostingsQuery) -> None:
        self._query = query
        self._ranked_k, self._last_score = -1, 0.0  # of the last ranking; 0 when fewer than k rows match

    @property
    def score_range(self) -> tuple[float, float]:
        return 0.0, self.upper_bound(0)

    def rank(self, k: int, *, exact: bool = False) -> Ranking:  # noqa: ARG002  always exact
        ranking = self._query.rank(k)
        self._ranked_k, self._last_score = k, float(ranking.scores[-1]) if 0 < len(ranking.scores) == k else 0.0
        return ranking

    def score(self, rows: Rows) -> Scores:
        return self._query.score(rows)

    def matches(self) -> Bitmap:
        return self._query.matches()

    def upper_bound(self, k: int) -> float:
        if k == 0:
            scores = self.rank(self.min_candidates).scores  # the query remembers it, so that fusion ranks once
            return float(scores[0]) if len(scores) else 0.0
        if k != self._ranked_k:
            self.rank(k)
        return self._last_score


class LexicalRetriever(PostingsRetriever):
    """Ranks by BM25."""

    name: ClassVar[str] = Mode.LEXICAL.value

    def __init__(self, query: RetrieverQuery) -> None:
        assert query.lexical is not None
        super().__init__(query.lexical)


class SparseRetriever(PostingsRetriever):
    """Ranks by the weights of terms that a sparse encoder gives query and passage."""

    name: ClassVar[str] = Mode.SPARSE.value

    def __init__(self, query: RetrieverQuery) -> None:
        assert query.sparse is not None
        super().__init__(query.sparse)


RETRIEVERS: tuple[RetrieverType, ...] = (DenseRetriever, LexicalRetriever, SparseRetriever)
