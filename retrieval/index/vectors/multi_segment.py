"""The vectors of a generation: its segments' vectors searched one by one and merged exactly by score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retrieval.errors import BadQuery
from retrieval.index.vectors.approximate import Approximate, approximate_search
from retrieval.index.vectors.exact import Flat, exact_search
from retrieval.types import Bitmap, Ranking, Rows, Scores, Vectors
from retrieval.util.arrays import segment_of_row


class SegmentVectors:
    """Vectors of one segment, with a structure over them or without.  Rows count from 0 within the segment."""

    def __init__(self, flat: Flat, approximate: Approximate | None = None) -> None:
        self.flat = flat
        self.approximate = approximate

    def __len__(self) -> int:
        return len(self.flat)

    def search(self, queries: Vectors, k: int, *, allowed: Bitmap | None = None, exact: bool = False) -> list[Ranking]:
        """As CombinedVectors.search, for this segment alone."""
        if exact or self.approximate is None:
            return exact_search(self.flat, queries, k, allowed)
        return approximate_search(self.flat, self.approximate, queries, k, allowed)

    def score(self, query: Vectors, rows: Rows) -> Scores:
        """Exact inner products of one query, (dimension,), with the kept vectors of `rows`."""
        return self.flat.score(query, rows)


class CombinedVectors:
    """Vectors of several segments, rows counted through them in order."""

    def __init__(self, segments: Sequence[SegmentVectors], dimension: int) -> None:
        self.segments = tuple(segments)
        self.dimension = dimension
        self._starts = np.concatenate(([0], np.cumsum([len(each) for each in self.segments], dtype=np.int64)))

    def __len__(self) -> int:
        return int(self._starts[-1])

    def search(self, queries: Vectors, k: int, *, allowed: Bitmap | None = None, exact: bool = False) -> list[Ranking]:
        """The k best allowed rows of each query, by (score descending, row ascending).

        Exactly min(k, allowed rows) of them, always.  `exact` passes by approximate structures; without one the
        answer is exact anyway.  Deleted rows are the caller's to exclude, through `allowed`.
        """
        queries = self._checked(queries)
        if allowed is not None and len(allowed) != len(self):
            raise ValueError(f"the bitmap has {len(allowed)} rows, the index {len(self)}")
        parts: list[list[Ranking]] = []
        for segment, start in zip(self.segments, self._starts.tolist(), strict=False):
            part = None if allowed is None else allowed[start : start + len(segment)]
            found = segment.search(queries, k, allowed=part, exact=exact)
            parts.append([Ranking(each.rows + start, each.scores) for each in found])
        return (
            [_merged(rankings, k) for rankings in zip(*parts, strict=True)]
            if parts
            else [Ranking.empty() for _ in queries]
        )

    @property
    def is_exact(self) -> bool:
        """Whether every answer is exact anyway."""
        return all(each.approximate is None for each in self.segments)

    def score(self, query: Vectors, rows: Rows) -> Scores:
        """Exact inner products of one query, (dimension,), with the kept vectors of `rows`, in their order."""
        query = self._checked(query[np.newaxis])[0]
        if len(self.segments) == 1:
            return self.segments[0].score(query, rows)
        scores = np.empty(len(rows), np.float32)
        owners = segment_of_row(rows, self._starts)
        for number in np.unique(owners).tolist():
            mine = owners == number
            scores[mine] = self.segments[number].score(query, rows[mine] - self._starts[number])
        return scores

    def _checked(self, queries: Vectors) -> Vectors:
        if queries.ndim != 2 or queries.shape[1] != self.dimension:
            raise ValueError(f"queries have shape {queries.shape}; the index has {self.dimension} dimensions")
        if not np.isfinite(queries).all():
            raise BadQuery("the query's vector is not finite; the encoder could not read this text")
        return np.ascontiguousarray(queries, dtype=np.float32)


def _merged(rankings: Sequence[Ranking], k: int) -> Ranking:
    if len(rankings) == 1:
        return rankings[0]
    rows, scores = (np.concatenate([getattr(each, name) for each in rankings]) for name in ("rows", "scores"))
    return Ranking.top(rows, scores, k)
