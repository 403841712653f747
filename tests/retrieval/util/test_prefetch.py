"""Test order, bound, errors and early end of reading ahead."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from retrieval.util.prefetch import read_ahead


def test_items_come_in_order() -> None:
    with read_ahead(range(1_000), 3) as items:
        assert list(items) == list(range(1_000))


def test_no_more_than_the_depth_is_read_ahead() -> None:
    taken: list[int] = []

    def source() -> Iterator[int]:
        for i in range(100):
            taken.append(i)
            yield i

    with read_ahead(source(), 3) as items:
        next(items)
        time.sleep(0.05)
        assert len(taken) <= 1 + 3 + 1  # taken, in the queue, and in the thread


def test_an_error_is_raised_after_the_items_before_it() -> None:
    def source() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("the disk is gone")

    received: list[int] = []
    with pytest.raises(OSError, match="the disk is gone"), read_ahead(source(), 8) as items:
        received.extend(items)
    assert received == [1, 2]


def test_leaving_early_ends_the_thread() -> None:
    before = threading.active_count()
    with read_ahead(iter(int, 1), 2) as items:  # endless zeros
        assert next(items) == 0
    assert threading.active_count() == before
