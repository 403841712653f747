"""Search the vectors of an open generation.

The search reads each segment exactly or through its ANN index, and merges the results by score.  An ANN index returns
candidates; the stored vectors give their scores and their order.  A candidate stands for all rows with an equal vector.

A filter that allows few rows is answered by exact search, which is then faster.  For other filters, the effort depends
on the share of the query's own neighbours that the filter allows: a filter may follow the topic of the query, or avoid
it.  The search looks at those neighbours first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import BadQuery
from retrieval.index.vectors.exact import FlatVectors, exact_search, joined_search, rescored
from retrieval.index.vectors.faiss_index import Effort, FaissIndex
from retrieval.index.vectors.recall_tuning import OPEN_SHARE, TUNED_K, Tuning
from retrieval.types import Bitmap, Ranking, Rows, Scores, Vectors
from retrieval.util.arrays import segment_of_row

DEEP_SHARE = 0.02  # exact search answers requests for more results than this share of the allowed rows


@dataclass(frozen=True, slots=True)
class TunedIndex:
    """An ANN index with its tuning."""

    index: FaissIndex
    tuning: Tuning


class SegmentVectors:
    """The vectors of one segment, with or without an ANN index.  Rows count from 0."""

    def __init__(self, flat: FlatVectors, ann_index: TunedIndex | None = None) -> None:
        self.flat = flat
        self.ann_index = ann_index

    def __len__(self) -> int:
        return len(self.flat)

    def search(self, queries: Vectors, k: int, *, allowed: Bitmap | None = None, exact: bool = False) -> list[Ranking]:
        """Return the k best allowed rows of this segment, as CombinedVectors.search does."""
        if exact or self.ann_index is None:
            return exact_search(self.flat, queries, k, allowed)
        return approximate_search(self.flat, self.ann_index, queries, k, allowed)


class CombinedVectors:
    """The vectors of all segments, with consecutive rows; a protocols.VectorIndex."""

    def __init__(self, segments: Sequence[SegmentVectors], dimension: int) -> None:
        self.segments = tuple(segments)
        self.dimension = dimension
        sizes = [len(segment) for segment in self.segments]
        self._starts = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def is_exact(self) -> bool:
        """Whether no segment has an ANN index, so that every search is exact."""
        return all(segment.ann_index is None for segment in self.segments)

    def search(self, queries: Vectors, k: int, *, allowed: Bitmap | None = None, exact: bool = False) -> list[Ranking]:
        """Return the min(k, allowed rows) best rows: (score descending, row ascending).

        `exact` bypasses the ANN indexes.  `allowed` must exclude deleted rows.  Raises ValueError for a wrong shape,
        and BadQuery for a query that is not finite.
        """
        queries = self._check(queries)
        if allowed is not None and len(allowed) != len(self):
            raise ValueError(f"the bitmap has {len(allowed)} rows, the index {len(self)}")
        starts = self._starts.tolist()
        parts = [None if allowed is None else allowed[start:end] for start, end in pairwise(starts)]
        if len(parts) > 1 and (exact or self.is_exact):
            return joined_search([segment.flat for segment in self.segments], queries, k, parts)
        rankings: list[list[Ranking]] = []  # by segment
        for segment, start, part in zip(self.segments, starts, parts, strict=False):
            found = segment.search(queries, k, allowed=part, exact=exact)
            rankings.append([Ranking(ranking.rows + start, ranking.scores) for ranking in found])
        if not rankings:
            return [Ranking.empty() for _ in queries]
        return [_merge(of_query, k) for of_query in zip(*rankings, strict=True)]

    def score(self, query: Vectors, rows: Rows) -> Scores:
        """Return the exact inner products of one query, (dimension,), with some rows."""
        query = self._check(query[np.newaxis])[0]
        if len(self.segments) == 1:
            return self.segments[0].flat.score(query, rows)
        scores = np.empty(len(rows), np.float32)
        segment_numbers = segment_of_row(rows, self._starts)
        for number in np.unique(segment_numbers).tolist():
            selected = segment_numbers == number
            scores[selected] = self.segments[number].flat.score(query, rows[selected] - self._starts[number])
        return scores

    def rows(self, rows: Rows) -> Vectors:
        """Return the stored vectors of some rows as float32, (n, dimension)."""
        vectors = np.empty((len(rows), self.dimension), np.float32)
        segment_numbers = segment_of_row(rows, self._starts)
        for number in np.unique(segment_numbers).tolist():
            selected = segment_numbers == number
            vectors[selected] = self.segments[number].flat.vectors[rows[selected] - self._starts[number]]
        return vectors

    def _check(self, queries: Vectors) -> Vectors:
        if queries.ndim != 2 or queries.shape[1] != self.dimension:
            raise ValueError(f"queries have shape {queries.shape}; the index has {self.dimension} dimensions")
        if not np.isfinite(queries).all():
            raise BadQuery("the query's vector is not finite; the encoder could not read this text")
        return np.ascontiguousarray(queries, dtype=np.float32)


def _merge(rankings: Sequence[Ranking], k: int) -> Ranking:
    if len(rankings) == 1:
        return rankings[0]
    rows, scores = (np.concatenate([getattr(ranking, name) for ranking in rankings]) for name in ("rows", "scores"))
    return Ranking.top(rows, scores, k)


def approximate_search(
    flat: FlatVectors, ann_index: TunedIndex, queries: Vectors, k: int, allowed: Bitmap | None
) -> list[Ranking]:
    """Return as many rows as `exact_search`, some of which may be other near rows."""
    count = len(flat) if allowed is None else int(np.count_nonzero(allowed))
    share = count / len(flat)
    if share < ann_index.tuning.exact_share or k > DEEP_SHARE * count:
        return exact_search(flat, queries, k, allowed)
    if allowed is None or share >= OPEN_SHARE:
        selection = None if allowed is None or count == len(flat) else ann_index.index.select(allowed)
        found = ann_index.index.candidates(queries, ann_index.tuning.effort(k, share), selection)
        rankings = [
            _best_rows(flat, ann_index, query, rows, k, allowed) for query, rows in zip(queries, found, strict=True)
        ]
    else:
        rankings = _filtered_search(flat, ann_index, queries, k, allowed)
    return _complete(rankings, flat, queries, min(k, count), allowed)


def _filtered_search(
    flat: FlatVectors, ann_index: TunedIndex, queries: Vectors, k: int, allowed: Bitmap
) -> list[Ranking]:
    """Search under a filter; empty if it allows too few of a query's neighbours."""
    selection = ann_index.index.select(allowed)
    rankings = []
    for number, share in enumerate(_neighbour_shares(ann_index, queries, allowed)):
        if share < ann_index.tuning.exact_share:
            rankings.append(Ranking.empty())
            continue
        query = queries[number : number + 1]
        found = ann_index.index.candidates(query, ann_index.tuning.effort(k, share), selection)[0]
        rankings.append(_best_rows(flat, ann_index, query[0], found, k, allowed))
    return rankings


def _best_rows(
    flat: FlatVectors,
    ann_index: TunedIndex,
    query: NDArray[np.float32],
    candidates: Rows,
    k: int,
    allowed: Bitmap | None,
) -> Ranking:
    """Return the k best allowed rows of the candidates and of equal vectors."""
    equal = ann_index.index.order.equal
    if not len(equal):
        return rescored(flat.vectors, query, candidates, k)
    return equal.expand(rescored(flat.vectors, query, candidates, len(candidates)), k, allowed)


def _neighbour_shares(ann_index: TunedIndex, queries: Vectors, allowed: Bitmap) -> NDArray[np.float64]:
    """Return the allowed share of each query's neighbours, at an unfiltered cost."""
    explored = ann_index.tuning.effort(TUNED_K).explored
    neighbours = ann_index.index.candidates(queries, Effort(explored, max(explored, 8 * TUNED_K)))
    found = neighbours >= 0
    num_allowed = np.count_nonzero(found & ann_index.index.order.equal.any_allowed(allowed)[neighbours], axis=1)
    return np.asarray((num_allowed + 0.5) / (np.count_nonzero(found, axis=1) + 1), dtype=np.float64)


def _complete(
    rankings: list[Ranking], flat: FlatVectors, queries: Vectors, wanted: int, allowed: Bitmap | None
) -> list[Ranking]:
    """Replace rankings with fewer rows than `wanted` by exact rankings."""
    short = [number for number, ranking in enumerate(rankings) if len(ranking.rows) < wanted]
    if short:
        exact = exact_search(flat, np.ascontiguousarray(queries[short]), wanted, allowed)
        for number, ranking in zip(short, exact, strict=True):
            rankings[number] = ranking
    return rankings
