"""Exact search over kept vectors, without a copy of them.

FAISS scans the memory-mapped file itself: a flat index whose codes are a view of the map, or, under a filter, of the
allowed rows, copied out some thousands at a time, which is faster than to ask of each row whether it is allowed.  What
it finds are candidates; its sums round differently from `row_scores`, so as many candidates are taken as the two can
disagree about, and the ranking is made from `row_scores` alone: (score descending, row ascending), ties included.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.index.vectors.faiss_threads import threads_for
from retrieval.index.vectors.store import LONGEST, Kept, row_scores
from retrieval.types import Bitmap, Ranking, Rows, Scores, Vectors

FEW_ROWS = 128  # so few rows are scored at once, without a candidate search
MANY_QUERIES = 12  # from so many queries on, blocks turned into float32 once for all of them are faster
BLOCK_ROWS = 4096  # rows copied out at a time: they stay in the processor's cache until they are scanned
FLOAT_ROWS = 1 << 14  # and of many queries: results of blocks are merged, which costs more than what a cache spares


@dataclass(frozen=True, slots=True)
class Found:
    """Candidates of several queries, best first, with FAISS's scores; both (queries, depth).

    `places` count the rows that are searched, in their order.
    """

    places: NDArray[np.int64]
    scores: NDArray[np.float32]


class Flat:
    """Kept vectors, (n, dimension), as exact search takes them.

    `floats` are float16 `vectors` in float32, from which single rows are scored without a conversion; scans read
    `vectors`, which are half as large.
    """

    def __init__(self, vectors: Kept, floats: Vectors | None = None) -> None:
        self.vectors = vectors
        self.floats = vectors if floats is None else floats

    def __len__(self) -> int:
        return len(self.vectors)

    def score(self, query: NDArray[np.float32], rows: Rows) -> Scores:
        """Exact inner products of `query`, (dimension,), with some rows, in their order."""
        return row_scores(query, self.floats[rows])

    @cached_property
    def scan(self) -> faiss.Index:
        """All of them, for FAISS."""
        return flat_view(self.vectors)


class Searched:
    """The rows that a search is among: those in `rows`, ascending, or all where that is None."""

    def __init__(self, flat: Flat, rows: Rows | None) -> None:
        self.flat = flat
        self.rows = rows

    def __len__(self) -> int:
        return len(self.flat if self.rows is None else self.rows)

    def at(self, places: Rows) -> Rows:
        """Rows by their places among the rows searched."""
        return places if self.rows is None else self.rows[places]

    def scans(self, *, as_float32: bool) -> Iterator[faiss.Index]:
        """Block after block as FAISS scans it; one is not to be used after the next was asked for."""
        if as_float32:
            yield from map(flat_view, self._float_blocks())
        elif self.rows is None:
            yield self.flat.scan
        else:
            vectors = self.flat.vectors
            taken = np.empty((min(BLOCK_ROWS, len(self)), vectors.shape[1]), vectors.dtype)
            for start in range(0, len(self), BLOCK_ROWS):
                rows = self.rows[start : start + BLOCK_ROWS]
                yield flat_view(vectors.take(rows, axis=0, out=taken[: len(rows)], mode="clip"))

    def _float_blocks(self) -> Iterator[Vectors]:
        vectors = self.flat.floats
        floats = np.empty((min(FLOAT_ROWS, len(self)), vectors.shape[1]), np.float32)
        for start in range(0, len(self), FLOAT_ROWS):
            if self.rows is None:
                block = vectors[start : start + FLOAT_ROWS]
                yield to_float32(block, floats[: len(block)])
            else:
                rows = self.rows[start : start + FLOAT_ROWS]
                yield rows_as_float32(vectors, rows, floats[: len(rows)])


def to_float32(block: Kept, out: Vectors | None = None) -> Vectors:
    """The same numbers as float32, in `out` if need be; by several threads, which numpy would not use."""
    if block.dtype == np.float32 or len(block) == 0:
        return np.ascontiguousarray(block, dtype=np.float32)
    return np.asarray(flat_view(block).reconstruct_n(0, len(block), out))


def rows_as_float32(vectors: Kept, rows: Rows, out: Vectors | None = None) -> Vectors:
    """Some rows as float32, in `out` if given; besides that, in the memory of one small block."""
    floats = np.empty((len(rows), vectors.shape[1]), np.float32) if out is None else out
    for start in range(0, len(rows), BLOCK_ROWS):
        some = slice(start, start + BLOCK_ROWS)
        if vectors.dtype == np.float32:
            vectors.take(rows[some], axis=0, out=floats[some], mode="clip")
        else:
            to_float32(vectors[rows[some]], floats[some])
    return floats


def exact_search(flat: Flat, queries: Vectors, k: int, allowed: Bitmap | None = None) -> list[Ranking]:
    """The k best rows of each query among the allowed, or all that are allowed where those are fewer."""
    searched = Searched(flat, None if allowed is None or allowed.all() else np.flatnonzero(allowed))
    if len(searched) == 0 or k <= 0:
        return [Ranking.empty() for _ in queries]
    if len(searched) <= FEW_ROWS:
        rows = searched.at(np.arange(len(searched)))
        return [Ranking.top(rows, searched.flat.score(query, rows), k) for query in queries]
    return _search_all(searched, queries, min(k, len(searched)))


def rescored(vectors: Kept, query: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> Ranking:
    """The k best of the candidate rows, -1 aside, by their exact scores."""
    rows = np.sort(rows[rows >= 0])
    ranking = exact_search(Flat(vectors.take(rows, axis=0)), query[np.newaxis], k)[0]
    return Ranking(rows[ranking.rows], ranking.scores)


def flat_view(vectors: Kept) -> faiss.Index:
    """A flat FAISS index whose codes are the memory of `vectors`, (n > 0, dimension), which must outlive it.

    Rows must follow each other without gaps.
    """
    dimension = vectors.shape[1]
    if vectors.dtype == np.float16:
        index = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    else:
        index = faiss.IndexFlatIP(dimension)
    memory = vectors.view(np.uint8).reshape(-1)
    codes = faiss.MaybeOwnedVectorUInt8()
    codes.is_owned = False
    codes.view_data = codes.c_ptr = faiss.swig_ptr(memory)
    codes.view_size = codes.c_size = memory.size
    index.codes = codes
    index.ntotal = len(vectors)
    index.is_trained = True
    return index


def _search_all(searched: Searched, queries: Vectors, k: int) -> list[Ranking]:
    """Rank by candidates, with more of them for those queries where the last could still belong among the k."""
    rankings: list[Ranking] = [Ranking.empty() for _ in queries]
    open_queries = np.arange(len(queries))
    depth = k + 16 + k // 8
    while len(open_queries):
        depth = min(depth, len(searched))
        found = _candidates(searched, queries[open_queries], depth)
        least = found.scores[:, k - 1] - disagreement(queries[open_queries])
        settled = (found.scores[:, -1] < least) | (depth == len(searched))
        for position in np.flatnonzero(settled):
            near = found.scores[position] >= least[position]
            rows, query = searched.at(found.places[position][near]), queries[open_queries[position]]
            rankings[open_queries[position]] = Ranking.top(rows, searched.flat.score(query, rows), k)
        open_queries, depth = open_queries[~settled], depth * 4
    return rankings


def disagreement(queries: Vectors) -> NDArray[np.float32]:
    """How far below the k-th candidate's score another row of the true k best can stand, by query.

    Two ways to add up an inner product of d terms in float32 differ by at most 2 d u |q| |x|, u = 2^-24; two rows
    change places only within twice that.
    """
    bound = 4 * queries.shape[1] * 2.0**-24 * LONGEST
    return np.asarray(bound * np.linalg.norm(queries, axis=1), dtype=np.float32)


def _candidates(searched: Searched, queries: Vectors, depth: int) -> Found:
    found = Found(np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32))
    start, many = 0, len(queries) >= MANY_QUERIES
    if many:
        # Of the process, in numbers: FAISS would wait for several hundred queries, and a single one would take longer.
        faiss.cvar.distance_compute_blas_threshold = MANY_QUERIES * queries.shape[1]
    with threads_for(len(queries)):
        for scan in searched.scans(as_float32=many):
            scores, places = scan.search(queries, min(depth, scan.ntotal))
            found = _better(found, Found(places + start, scores), depth)
            start += scan.ntotal
    return found


def _better(left: Found, right: Found, depth: int) -> Found:
    """The `depth` best of both, best first."""
    if left.places.shape[1] == 0:
        return right
    places, scores = np.hstack((left.places, right.places)), np.hstack((left.scores, right.scores))
    order = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
    return Found(np.take_along_axis(places, order, 1), np.take_along_axis(scores, order, 1))
