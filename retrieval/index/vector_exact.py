"""Exact search over kept vectors, without a copy of them.

FAISS scans the memory-mapped file itself: a flat index whose codes are a view of the map.  What it finds are
candidates; its sums round differently from `row_scores`, so as many candidates are taken as the two can disagree
about, and the ranking is made from `row_scores` alone: (score descending, row ascending), ties included.
"""

from __future__ import annotations

from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.index.vector import LONGEST, Kept, row_scores
from retrieval.types import Bitmap, Ranking, Rows, Scores, Vectors

GATHERED_SHARE = 0.04  # allowed share of the rows below which copying them out beats testing a bit for each row
FEW_ROWS = 1024  # so few rows are scored at once, without a candidate search
MANY_QUERIES = 12  # from so many queries on, blocks turned into float32 once for all of them are faster
BLOCK_ROWS = 8192  # rows of such a block; a multiple of 8, so that a packed bitmap can be cut there


@dataclass(frozen=True, slots=True)
class Found:
    """Candidates of several queries: rows, -1 where there are too few, and FAISS's scores; both (queries, depth)."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]


def exact_search(vectors: Kept, queries: Vectors, k: int, allowed: Bitmap | None = None) -> list[Ranking]:
    """The k best rows of each query among the allowed, or all that are allowed where those are fewer."""
    count = len(vectors) if allowed is None else int(np.count_nonzero(allowed))
    if count == 0 or k <= 0:
        return [no_ranking() for _ in queries]
    if allowed is not None and (count <= FEW_ROWS or count < len(vectors) * GATHERED_SHARE):
        rows = np.flatnonzero(allowed)
        chosen = exact_search(vectors[rows], queries, k)
        return [Ranking(rows[each.rows], each.scores) for each in chosen]
    if count <= FEW_ROWS:
        return [best(np.arange(count), row_scores(query, vectors), k) for query in queries]
    bits = None if allowed is None or count == len(vectors) else np.packbits(allowed, bitorder="little")
    return _search_all(vectors, queries, min(k, count), count, bits)


def best(rows: Rows, scores: Scores, k: int) -> Ranking:
    """The k best of `rows` by (score descending, row ascending)."""
    if len(rows) > 4 * k:
        kept = scores >= np.partition(scores, len(scores) - k)[len(scores) - k]
        rows, scores = rows[kept], scores[kept]
    order = np.lexsort((rows, -scores))[:k]
    return Ranking(np.ascontiguousarray(rows[order], dtype=np.int64), np.ascontiguousarray(scores[order]))


def no_ranking() -> Ranking:
    """The ranking of nothing."""
    return Ranking(np.empty(0, np.int64), np.empty(0, np.float32))


def flat_view(vectors: Kept) -> faiss.Index:
    """A flat FAISS index whose codes are the memory of `vectors`, (n > 0, dimension), which must outlive it."""
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


def select(bits: NDArray[np.uint8] | None) -> faiss.SearchParameters | None:
    """Search parameters that admit the rows whose bit is set; `bits` must outlive the search."""
    return None if bits is None else faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bits))


def _search_all(vectors: Kept, queries: Vectors, k: int, count: int, bits: NDArray[np.uint8] | None) -> list[Ranking]:
    """Rank by candidates, with more of them for those queries where the last could still belong among the k."""
    rankings: list[Ranking] = [no_ranking() for _ in queries]
    open_queries = np.arange(len(queries))
    depth = k + 16 + k // 8
    while len(open_queries):
        depth = min(depth, count)
        found = _candidates(vectors, queries[open_queries], depth, bits)
        margins = disagreement(queries[open_queries])
        settled = (found.scores[:, -1] < found.scores[:, k - 1] - margins) | (depth == count)
        for position in np.flatnonzero(settled):
            number, near = (
                open_queries[position],
                found.scores[position] >= found.scores[position, k - 1] - margins[position],
            )
            rows = np.sort(found.rows[position][near])
            rankings[number] = best(rows, row_scores(queries[number], vectors[rows]), k)
        open_queries, depth = open_queries[~settled], depth * 4
    return rankings


def disagreement(queries: Vectors) -> NDArray[np.float32]:
    """How far below the k-th candidate's score another row of the true k best can stand, by query.

    Two ways to add up an inner product of d terms in float32 differ by at most 2 d u |q| |x|, u = 2^-24; two rows
    change places only within twice that.
    """
    bound = 4 * queries.shape[1] * 2.0**-24 * LONGEST
    return np.asarray(bound * np.linalg.norm(queries, axis=1), dtype=np.float32)


def _candidates(vectors: Kept, queries: Vectors, depth: int, bits: NDArray[np.uint8] | None) -> Found:
    if len(queries) < MANY_QUERIES:
        scores, rows = flat_view(vectors).search(queries, depth, params=select(bits))
        return Found(rows, scores)
    found = Found(np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32))
    for start in range(0, len(vectors), BLOCK_ROWS):
        block = np.ascontiguousarray(vectors[start : start + BLOCK_ROWS], dtype=np.float32)
        part = None if bits is None else np.ascontiguousarray(bits[start // 8 : (start + BLOCK_ROWS) // 8])
        scores, rows = flat_view(block).search(queries, min(depth, len(block)), params=select(part))
        found = _better(found, Found(np.where(rows < 0, -1, rows + start), scores), depth)
    return found


def _better(left: Found, right: Found, depth: int) -> Found:
    """The `depth` best of both, best first."""
    rows, scores = np.hstack((left.rows, right.rows)), np.hstack((left.scores, right.scores))
    order = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
    return Found(np.take_along_axis(rows, order, 1), np.take_along_axis(scores, order, 1))
