"""Reading ahead: in order, bounded, honest about errors, and over when nobody listens."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from retrieval.encoder.prefetch import ahead


def test_items_come_in_order() -> None:
    with ahead(range(1_000), 3) as items:
        assert list(items) == list(range(1_000))


def test_no_more_than_the_depth_is_read_before_it_is_asked_for() -> None:
    taken: list[int] = []

    def source() -> Iterator[int]:
        for i in range(100):
            taken.append(i)
            yield i

    with ahead(source(), 3) as items:
        next(items)
        time.sleep(0.05)
        assert len(taken) <= 1 + 3 + 1  # handed over, waiting, and in the reader's hand


def test_an_error_is_raised_after_what_came_before_it() -> None:
    def source() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("the disk is gone")

    got: list[int] = []
    with pytest.raises(OSError, match="the disk is gone"), ahead(source(), 8) as items:
        got.extend(items)
    assert got == [1, 2]


def test_leaving_early_ends_the_thread() -> None:
    before = threading.active_count()
    with ahead(iter(int, 1), 2) as items:  # endless zeros
        assert next(items) == 0
    assert threading.active_count() == before
