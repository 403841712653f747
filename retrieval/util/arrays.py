"""Look-ups in sorted numpy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def find_sorted(
    values: NDArray[np.integer[Any]], sorted_values: NDArray[np.integer[Any]]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return the position of each value in `sorted_values`, and whether it is there.

    `values` may have any shape; both results have it, too.  sorted_values: (n,), ascending.  The position of an absent
    value is the index of another value, or 0 if `sorted_values` is empty.
    """
    if not len(sorted_values):
        return np.zeros(values.shape, np.intp), np.zeros(values.shape, np.bool_)
    positions = np.minimum(sorted_values.searchsorted(values), len(sorted_values) - 1)
    return positions, np.asarray(sorted_values[positions] == values)


def is_member(values: NDArray[np.integer[Any]], sorted_values: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    """Check for each of `values` whether `sorted_values`, ascending, contains it."""
    return find_sorted(values, sorted_values)[1]


def segment_of_row(rows: ArrayLike, first_rows: NDArray[np.integer[Any]]) -> NDArray[np.intp]:
    """Return the number of the segment that contains each row.

    first_rows: (segments,), ascending: the first row of each segment.  An empty segment contains no row.
    """
    return np.asarray(first_rows.searchsorted(rows, side="right") - 1)


def ranges(starts: NDArray[np.integer[Any]], counts: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Return `counts[i]` numbers from `starts[i]` on, range after range."""
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(int(counts.sum()))
