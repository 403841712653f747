"""Dense search by passages and by the windows of a few sentences inside them.

A passage scores `(1 - share) · own + share · best`: `own` is the cosine of its vector, `best` the greatest cosine of
its vector and its windows.  The vector of a long passage is near the mean of its topics; a window is near the one topic
that a query asks for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval.index.vectors.vector_search import CombinedVectors
from retrieval.types import Bitmap, Ranking, Rows, Scores, Vectors
from retrieval.util.arrays import ranges

_MIN_CANDIDATES = 64  # passages, and windows, of the first round


class WindowVectors:
    """The vectors of all windows of a generation, passage after passage."""

    def __init__(self, vectors: CombinedVectors, counts: NDArray[np.int64]) -> None:
        self.vectors = vectors
        self.counts = counts  # windows of each passage, (passages,)
        self.starts = np.cumsum(counts) - counts
        self.passage_of = np.repeat(np.arange(len(counts)), counts)


class FineVectors:
    """The vectors of passages together with those of their windows."""

    def __init__(self, own: CombinedVectors, windows: WindowVectors, share: float) -> None:
        self._own = own
        self._windows = windows
        self._share = share

    def __len__(self) -> int:
        return len(self._own)

    def search(self, queries: Vectors, k: int, *, allowed: Bitmap | None = None, exact: bool = False) -> list[Ranking]:
        """Return the min(k, allowed rows) best passages, as `CombinedVectors.search` does."""
        if allowed is None:
            allowed = np.ones(len(self), np.bool_)
        return [self._search(query, k, allowed, exact) for query in queries]

    def score(self, query: NDArray[np.float32], rows: Rows) -> Scores:
        """Return the exact score of one query, (dimension,), with some passages."""
        own = self._own.score(query, rows)
        best, counts = own.copy(), self._windows.counts[rows]
        windows = ranges(self._windows.starts[rows], counts)
        if len(windows):
            np.maximum.at(best, np.repeat(np.arange(len(rows)), counts), self._windows.vectors.score(query, windows))
        return self._combined(own, best)

    def _search(self, query: NDArray[np.float32], k: int, allowed: Bitmap, exact: bool) -> Ranking:
        """Take more and more candidates until no other passage can be among the k best."""
        allowed_windows = allowed[self._windows.passage_of]
        count = max(_MIN_CANDIDATES, 2 * k)
        while True:
            own = self._own.search(query[np.newaxis], count, allowed=allowed, exact=exact)[0]
            near = self._windows.vectors.search(query[np.newaxis], count, allowed=allowed_windows, exact=exact)[0]
            rows = np.union1d(own.rows, self._windows.passage_of[near.rows])
            ranking = Ranking.top(rows, self.score(query, rows), k)
            if len(own.rows) < count or (len(ranking.rows) == k and ranking.scores[-1] > self._bound(own, near, count)):
                return ranking
            count *= 4

    def _bound(self, own: Ranking, near: Ranking, count: int) -> np.float32:
        """Return the highest score of a passage outside both rankings of `count` rows."""
        last = own.scores[-1:]
        best = np.maximum(last, near.scores[-1:]) if len(near.rows) == count else last
        return np.float32(self._combined(last, best)[0])

    def _combined(self, own: Scores, best: Scores) -> Scores:
        mixed = (1.0 - self._share) * own.astype(np.float64) + self._share * best.astype(np.float64)
        return mixed.astype(np.float32)
