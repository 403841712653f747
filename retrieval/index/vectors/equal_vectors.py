"""Rows with equal vectors: an ANN index takes one row of each group.

Equal vectors would fill each other's links in a graph, so that a search that enters such a group never leaves it.  The
first row of a group stands for all of it in the index, and the search puts the others in again, beside it, since equal
vectors have equal scores.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval.index.vectors.store import StoredVectors
from retrieval.types import Bitmap, Ranking, Rows

BLOCK_ROWS = 1 << 12  # hashed or compared at once
SEED = 11


class EqualVectors:
    """The groups of equal vectors among `rows` rows.

    copies: (c, 2) int64, ascending: the first row of a group, and another row of the group.
    """

    def __init__(self, rows: int, copies: NDArray[np.int64] | None = None) -> None:
        self.copies = np.empty((0, 2), np.int64) if copies is None else copies
        self.distinct = rows - len(self.copies)
        self._firsts, self._copies = np.ascontiguousarray(self.copies.T)
        removed = np.sort(self._copies)
        self._before = removed - np.arange(len(removed))  # the distinct rows before each copy

    def __len__(self) -> int:
        return len(self.copies)

    def to_rows(self, numbers: Rows) -> Rows:
        """Return the rows of distinct vectors by their numbers; -1 stays -1."""
        return numbers + np.searchsorted(self._before, numbers, side="right") if len(self) else numbers

    def distinct_bitmap(self, allowed: Bitmap) -> Bitmap:
        """Return which distinct vectors have an allowed row: (rows,) → (distinct,)."""
        return np.delete(self.any_allowed(allowed), self._copies) if len(self) else allowed

    def any_allowed(self, allowed: Bitmap) -> Bitmap:
        """Return for each first row whether its group has an allowed row: (rows,)."""
        if not len(self):
            return allowed
        of_group = allowed.copy()
        of_group[self._firsts[allowed[self._copies]]] = True
        return of_group

    def expand(self, ranking: Ranking, k: int, allowed: Bitmap | None) -> Ranking:
        """Return the k best allowed rows, given the ranking of the first rows."""
        starts, ends = (np.searchsorted(self._firsts, ranking.rows, side) for side in ("left", "right"))
        grouped = ends > starts
        if not grouped.any():
            return Ranking(ranking.rows[:k], ranking.scores[:k])
        rows, scores = [ranking.rows[~grouped]], [ranking.scores[~grouped]]
        for place in np.flatnonzero(grouped).tolist():
            group = np.append(ranking.rows[place], self._copies[starts[place] : ends[place]])
            group = (group if allowed is None else group[allowed[group]])[:k]
            rows.append(group)
            scores.append(np.full(len(group), ranking.scores[place], np.float32))
        return Ranking.top(np.concatenate(rows), np.concatenate(scores), k)


def find_equal_vectors(vectors: StoredVectors) -> EqualVectors:
    """Find all rows whose bytes are those of an earlier row."""
    digests = _digests(vectors)
    order = np.argsort(digests, kind="stable")
    new = np.ones(len(order), np.bool_)
    new[1:] = digests[order[1:]] != digests[order[:-1]]
    firsts = order[np.flatnonzero(new)][np.cumsum(new) - 1]
    copies = np.stack((firsts, order), axis=1)[~new]
    equal = np.zeros(len(copies), np.bool_)  # a digest alone may collide
    for start in range(0, len(copies), BLOCK_ROWS):
        first, copy = copies[start : start + BLOCK_ROWS].T
        equal[start : start + BLOCK_ROWS] = (_words(vectors[first]) == _words(vectors[copy])).all(axis=1)
    copies = copies[equal]
    return EqualVectors(len(vectors), copies[np.lexsort((copies[:, 1], copies[:, 0]))])


def _digests(vectors: StoredVectors) -> NDArray[np.uint64]:
    """Return a 64-bit digest of each row: the sum of its words by random odd factors."""
    factors = np.random.default_rng(SEED).integers(1 << 63, size=vectors.shape[1], dtype=np.uint64) * 2 + 1
    digests = np.empty(len(vectors), np.uint64)
    for start in range(0, len(vectors), BLOCK_ROWS):
        words = _words(vectors[start : start + BLOCK_ROWS]).astype(np.uint64)
        digests[start : start + BLOCK_ROWS] = (words * factors).sum(axis=1, dtype=np.uint64)
    return digests


def _words(block: StoredVectors) -> NDArray[np.unsignedinteger]:
    """Return the numbers of vectors as unsigned integers of the same bytes."""
    return np.ascontiguousarray(block).view(f"u{block.dtype.itemsize}")
