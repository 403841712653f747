"""Exact search over stored vectors without a copy of them.

FAISS scans the memory-mapped file: a flat index uses the memory map as its codes.  Under a filter, FAISS scans copies
of the allowed rows, some thousands at once, which is faster than a test of each row against the filter.

FAISS finds candidates only, since its sums round differently from `row_scores`.  The search takes as many candidates
as the two can disagree about, and ranks them by `row_scores`: (score descending, row ascending), ties included.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.index.vectors.store import LONGEST, StoredVectors, row_scores
from retrieval.types import Bitmap, Ranking, Rows, Scores, Vectors
from retrieval.util.arrays import segment_of_row
from retrieval.util.work_budget import checkpoint

FEW_ROWS = 128  # up to so many rows, scoring all is faster than a candidate search
MANY_QUERIES = 12  # from so many queries on, converting blocks to float32 once for all queries is faster
BLOCK_ROWS = 4096  # rows copied at once: they stay in the processor's cache until FAISS scans them
FLOAT_ROWS = 1 << 14  # rows copied at once for many queries: merging block results costs more than the cache saves


@dataclass(frozen=True, slots=True)
class Candidates:
    """Candidates of several queries, best first: (queries, depth) each."""

    positions: NDArray[np.int64]  # among the searched rows
    scores: NDArray[np.float32]  # by FAISS


class FlatVectors:
    """The stored vectors, (n, dimension), for exact search.

    floats: float32 copies of float16 `vectors` that score single rows.  Scans read `vectors`, half as large.
    """

    def __init__(self, vectors: StoredVectors, floats: Vectors | None = None) -> None:
        self.vectors = vectors
        self.floats = vectors if floats is None else floats

    def __len__(self) -> int:
        return len(self.vectors)

    def score(self, query: NDArray[np.float32], rows: Rows) -> Scores:
        """Return the exact inner products of `query`, (dimension,), with some rows.

        The rows are copied in blocks, so that scoring a whole collection takes the memory of one block.
        """
        if len(rows) <= BLOCK_ROWS:
            return row_scores(query, self.floats[rows])
        scores = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), BLOCK_ROWS):
            checkpoint()
            block = slice(start, start + BLOCK_ROWS)
            scores[block] = row_scores(query, self.floats[rows[block]])
        return scores

    @cached_property
    def scan(self) -> faiss.Index:
        """All vectors as an index that FAISS scans."""
        return flat_view(self.vectors)


class SearchedRows:
    """The rows of one search: `rows`, ascending, or all rows if that is None."""

    def __init__(self, flat: FlatVectors, rows: Rows | None) -> None:
        self.flat = flat
        self.rows = rows

    def __len__(self) -> int:
        return len(self.flat if self.rows is None else self.rows)

    def at(self, positions: Rows) -> Rows:
        """Return the rows at some positions among the searched rows."""
        return positions if self.rows is None else self.rows[positions]

    def score(self, query: NDArray[np.float32], positions: Rows) -> Scores:
        """Return the exact inner products with the rows at some positions."""
        return self.flat.score(query, self.at(positions))

    def scans(self, *, as_float32: bool) -> Iterator[faiss.Index]:
        """Yield the blocks that FAISS scans.  The next block overwrites the previous one."""
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


class JoinedRows:
    """The rows of one search in several parts, one part after the other."""

    def __init__(self, parts: Sequence[SearchedRows]) -> None:
        self._parts = parts
        self._first_rows = _starts([len(part.flat) for part in parts])
        self._first_positions = _starts([len(part) for part in parts])

    def __len__(self) -> int:
        return int(self._first_positions[-1])

    def at(self, positions: Rows) -> Rows:
        """Return the rows at some positions among the searched rows."""
        rows = np.empty(len(positions), np.int64)
        for number, indices, inside in self._by_part(positions):
            rows[indices] = self._parts[number].at(inside) + self._first_rows[number]
        return rows

    def score(self, query: NDArray[np.float32], positions: Rows) -> Scores:
        """Return the exact inner products with the rows at some positions."""
        scores = np.empty(len(positions), np.float32)
        for number, indices, inside in self._by_part(positions):
            scores[indices] = self._parts[number].score(query, inside)
        return scores

    def scans(self, *, as_float32: bool) -> Iterator[faiss.Index]:
        """Yield the blocks that FAISS scans, part after part."""
        for part in self._parts:
            if len(part):
                yield from part.scans(as_float32=as_float32)

    def _by_part(self, positions: Rows) -> Iterator[tuple[int, Rows, Rows]]:
        """Yield parts with the indices of their positions, and these in the part."""
        numbers = segment_of_row(positions, self._first_positions)
        for number in np.unique(numbers).tolist():
            indices = np.flatnonzero(numbers == number)
            yield number, indices, positions[indices] - self._first_positions[number]


def _starts(sizes: Sequence[int]) -> Rows:
    return np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))


def to_float32(block: StoredVectors, out: Vectors | None = None) -> Vectors:
    """Convert to float32, in `out` if given, with the threads of FAISS."""
    if block.dtype == np.float32 or len(block) == 0:
        return np.ascontiguousarray(block, dtype=np.float32)
    return np.asarray(flat_view(block).reconstruct_n(0, len(block), out))


def rows_as_float32(vectors: StoredVectors, rows: Rows, out: Vectors | None = None) -> Vectors:
    """Copy some rows as float32, to `out` if given, in the memory of one block more."""
    floats = np.empty((len(rows), vectors.shape[1]), np.float32) if out is None else out
    for start in range(0, len(rows), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        if vectors.dtype == np.float32:
            vectors.take(rows[block], axis=0, out=floats[block], mode="clip")
        else:
            to_float32(vectors[rows[block]], floats[block])
    return floats


def exact_search(flat: FlatVectors, queries: Vectors, k: int, allowed: Bitmap | None = None) -> list[Ranking]:
    """Return the k best allowed rows of each query; all of them if they are fewer."""
    return _search_rows(_searched(flat, allowed), queries, k)


def joined_search(
    parts: Sequence[FlatVectors], queries: Vectors, k: int, allowed: Sequence[Bitmap | None]
) -> list[Ranking]:
    """Return the k best allowed rows of all parts; rows count over the parts.

    That equals merged searches of the parts, with the exact scores of fewer candidates.
    """
    searched = JoinedRows([_searched(flat, part) for flat, part in zip(parts, allowed, strict=True)])
    return _search_rows(searched, queries, k)


def _searched(flat: FlatVectors, allowed: Bitmap | None) -> SearchedRows:
    return SearchedRows(flat, None if allowed is None or allowed.all() else np.flatnonzero(allowed))


def _search_rows(searched: SearchedRows | JoinedRows, queries: Vectors, k: int) -> list[Ranking]:
    if len(searched) == 0 or k <= 0:
        return [Ranking.empty() for _ in queries]
    if len(searched) <= FEW_ROWS:
        every = np.arange(len(searched))
        return [Ranking.top(searched.at(every), searched.score(query, every), k) for query in queries]
    return _search_all(searched, queries, min(k, len(searched)))


def rescored(vectors: StoredVectors, query: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> Ranking:
    """Return the k best candidate rows by their exact scores; -1 is no candidate."""
    rows = np.sort(rows[rows >= 0])
    ranking = exact_search(FlatVectors(vectors.take(rows, axis=0)), query[np.newaxis], k)[0]
    return Ranking(rows[ranking.rows], ranking.scores)


def flat_view(vectors: StoredVectors) -> faiss.Index:
    """Make a flat FAISS index that uses the memory of `vectors` as its codes.

    vectors: (n > 0, dimension), contiguous.  They must outlive the index.
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


def _search_all(searched: SearchedRows | JoinedRows, queries: Vectors, k: int) -> list[Ranking]:
    """Rank candidates; search deeper while the last one may be among the k best."""
    rankings: list[Ranking] = [Ranking.empty() for _ in queries]
    open_queries = np.arange(len(queries))
    depth = k + 16 + k // 8
    while len(open_queries):
        depth = min(depth, len(searched))
        found = _candidates(searched, queries[open_queries], depth)
        min_scores = found.scores[:, k - 1] - disagreement(queries[open_queries])
        settled = (found.scores[:, -1] < min_scores) | (depth == len(searched))
        for number in np.flatnonzero(settled):
            possible = found.scores[number] >= min_scores[number]
            positions, query = found.positions[number][possible], queries[open_queries[number]]
            scores = searched.score(query, positions)
            rankings[open_queries[number]] = Ranking.top(searched.at(positions), scores, k)
        open_queries, depth = open_queries[~settled], depth * 4
    return rankings


def disagreement(queries: Vectors) -> NDArray[np.float32]:
    """Return how far below the k-th candidate's score a true result may be, by query.

    Two ways to add up an inner product of d terms in float32 differ by at most 2 d u |q| |x|, u = 2^-24.  Two rows
    change places only within twice that difference.
    """
    bound = 4 * queries.shape[1] * 2.0**-24 * LONGEST
    return np.asarray(bound * np.linalg.norm(queries, axis=1), dtype=np.float32)


def _candidates(searched: SearchedRows | JoinedRows, queries: Vectors, depth: int) -> Candidates:
    found = Candidates(np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32))
    start, many = 0, len(queries) >= MANY_QUERIES
    if many:
        # The number of values from which FAISS multiplies matrices, for the whole process.  The default of FAISS is
        # several hundred queries; multiplying matrices for a single query would be slower than a scan.
        faiss.cvar.distance_compute_blas_threshold = MANY_QUERIES * queries.shape[1]
    with threads_for(len(queries)):
        for scan in searched.scans(as_float32=many):
            scores, positions = scan.search(queries, min(depth, scan.ntotal))
            found = _merge(found, Candidates(positions + start, scores), depth)
            start += scan.ntotal
    return found


def _merge(left: Candidates, right: Candidates, depth: int) -> Candidates:
    """Return the `depth` best of both, best first."""
    if left.positions.shape[1] == 0:
        return right
    positions, scores = np.hstack((left.positions, right.positions)), np.hstack((left.scores, right.scores))
    order = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
    return Candidates(np.take_along_axis(positions, order, 1), np.take_along_axis(scores, order, 1))


@contextmanager
def threads_for(queries: int) -> Iterator[None]:
    """Let FAISS use at most as many threads as queries, in the calling thread only."""
    # For a single query, FAISS would wake a team of threads that then spins beside other requests.
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(min(threads, max(1, queries)))
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)
