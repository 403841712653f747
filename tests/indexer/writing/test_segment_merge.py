"""Which segments to merge, with sizes that can be checked by hand."""

from __future__ import annotations

import pytest

from indexer.writing.pending_segments import SegmentSize
from indexer.writing.segment_merge import MergePolicy, plan_full_merge

POLICY = MergePolicy(fanout=4, floor_passages=10, dead_share=0.3)


def sizes(*live: int) -> list[SegmentSize]:
    return [SegmentSize(each, each) for each in live]


@pytest.mark.parametrize(
    ("live", "plan"),
    [
        ((10, 10, 10), None),  # fewer than the fan-out
        ((10, 10, 10, 10), range(4)),
        ((1, 2, 3, 10), range(4)),  # small ones count as ten
        ((1000, 10, 10, 10, 10), range(1, 5)),  # a large one stays
        ((1000, 10, 10, 10), None),
    ],
)
def test_neighbours_of_about_one_size_are_merged(live: tuple[int, ...], plan: range | None) -> None:
    assert POLICY.plan(sizes(*live)) == plan


def test_a_segment_with_many_deletions_is_rewritten() -> None:
    assert POLICY.plan([SegmentSize(100, 100), SegmentSize(70, 100)]) is None  # exactly 30 percent
    assert POLICY.plan([SegmentSize(100, 100), SegmentSize(69, 100)]) == range(1, 2)


def test_a_plan_has_at_most_so_many_live_passages() -> None:
    assert POLICY.plan(sizes(10, 10, 10, 10), 39) is None
    assert POLICY.plan(sizes(10, 10, 10, 10), 40) == range(4)


def test_a_full_merge_leaves_one_segment_without_deletions() -> None:
    assert plan_full_merge(sizes(5)) is None
    assert plan_full_merge([SegmentSize(4, 5)]) == range(1)
    assert plan_full_merge(sizes(5, 7)) == range(2)
