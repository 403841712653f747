"""The requests of a router to a shard, and how an open shard answers them.

A shard ranks and scores its own rows, which count from its first.  The router sends what all shards share, such as the
weights of terms by the statistics of all, so that scores are those of one collection.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.bm25_options import Bm25Options
from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.lexical.scorers import PostingsQuery
from retrieval.types import Bitmap, Rows, Scores, Vectors


class ShardAction(StrEnum):
    """A kind of work of a shard."""

    RANK = "rank"  # the k best of the allowed rows, by (score descending, row ascending)
    SCORE = "score"  # the scores of `rows`
    MATCHES = "matches"  # the allowed rows with a term of the query
    VECTORS = "vectors"  # the stored vectors of `rows`


@dataclass(frozen=True, slots=True)
class WeightedTerms:
    """The terms of a query in order, with their weights in the whole collection."""

    terms: tuple[tuple[str, float], ...]
    average_length: float | None = None  # of the passages of all shards, for BM25; None for sparse weights
    bm25: Bm25Options | None = None


@dataclass(frozen=True, slots=True)
class ShardRequest:
    """One request to a shard: of a vector, or of terms."""

    action: ShardAction
    vector: NDArray[np.float32] | None = None  # (dimension,)
    window_share: float = 0.0
    exact: bool = False
    terms: WeightedTerms | None = None
    k: int = 0
    allowed: Bitmap | None = None  # (rows of the shard,); None: all live rows
    rows: Rows | None = None  # of the shard


@dataclass(frozen=True, slots=True)
class ShardAnswer:
    """The answer to a request: `rows` and `scores` of a ranking, or one of the others."""

    rows: Rows = field(default_factory=lambda: np.empty(0, np.int64))
    scores: Scores = field(default_factory=lambda: np.empty(0, np.float32))
    matches: Bitmap | None = None  # (rows of the shard,)
    vectors: Vectors | None = None


class Shard(Protocol):
    """One shard of a generation, which answers in another process or in this one."""

    @property
    def name(self) -> str:
        """The name of its folder."""

    def ask(self, request: ShardRequest) -> Callable[[], ShardAnswer]:
        """Begin to answer; return the function that waits for the answer.

        That function raises ShardUnavailable and Overloaded.
        """

    def close(self) -> None:
        """Let go of the generation."""


def answer(reader: IndexReader, request: ShardRequest) -> ShardAnswer:
    """Answer a request from the open generation of a shard."""
    if request.action is ShardAction.VECTORS:
        return ShardAnswer(vectors=reader.vectors.rows(_rows(request)))
    if request.vector is not None:
        return _of_vector(reader, request, request.vector)
    return _of_terms(reader, request)


def _of_vector(reader: IndexReader, request: ShardRequest, vector: NDArray[np.float32]) -> ShardAnswer:
    vectors = reader.dense_vectors(request.window_share)
    if request.action is ShardAction.SCORE:
        return ShardAnswer(scores=vectors.score(vector, _rows(request)))
    allowed = reader.live if request.allowed is None else request.allowed
    [ranking] = vectors.search(vector[np.newaxis], request.k, allowed=allowed, exact=request.exact)
    return ShardAnswer(ranking.rows, ranking.scores)


def _of_terms(reader: IndexReader, request: ShardRequest) -> ShardAnswer:
    query = _postings_query(reader, request)
    if query is None:
        rows = np.empty(0, np.int64) if request.rows is None else request.rows
        return ShardAnswer(scores=np.zeros(len(rows), np.float32), matches=np.zeros(reader.rows, np.bool_))
    if request.action is ShardAction.SCORE:
        return ShardAnswer(scores=query.score(_rows(request)))
    if request.action is ShardAction.MATCHES:
        return ShardAnswer(matches=query.matches())
    ranking = query.rank(request.k)
    return ShardAnswer(ranking.rows, ranking.scores)


def _postings_query(reader: IndexReader, request: ShardRequest) -> PostingsQuery | None:
    """Open a query on the index of the terms; None for a shard without such an index."""
    given = request.terms
    if given is None:
        raise ValueError("a request to a shard needs a vector or terms")
    if given.average_length is None:
        return None if reader.sparse is None else reader.sparse.weighted_query(given.terms, request.allowed)
    if reader.lexical is None:
        return None
    return reader.lexical.weighted_query(given.terms, given.average_length, given.bm25, request.allowed)


def _rows(request: ShardRequest) -> Rows:
    if request.rows is None:
        raise ValueError(f"a request to {request.action} needs rows")
    return request.rows
