"""Look-ups in sorted arrays, with numbers that can be checked by eye."""

from __future__ import annotations

import numpy as np

from retrieval.util.arrays import find_sorted, is_member, segment_of_row


def test_values_are_found_at_their_positions() -> None:
    positions, found = find_sorted(np.array([30, 5, 10, 99]), np.array([10, 20, 30]))
    assert found.tolist() == [True, False, True, False]
    assert positions[found].tolist() == [2, 0]
    assert all(0 <= position < 3 for position in positions.tolist())


def test_an_empty_array_contains_nothing() -> None:
    assert is_member(np.array([1, 2]), np.array([], dtype=np.int64)).tolist() == [False, False]
    assert is_member(np.array([], dtype=np.int64), np.array([1])).tolist() == []


def test_members_need_not_be_sorted() -> None:
    assert is_member(np.array([3, 1, 2, 1]), np.array([1, 3])).tolist() == [True, True, False, True]


def test_each_row_belongs_to_the_last_segment_that_starts_at_or_before_it() -> None:
    first_rows = np.array([0, 4, 4, 10])  # segment 1 is empty
    assert segment_of_row([0, 3, 4, 9, 10, 50], first_rows).tolist() == [0, 0, 2, 2, 3, 3]
