"""What is remembered is what was put there, and never more than fits."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from retrieval.index.storage.bounded_cache import BoundedCache


def test_a_value_is_found_again() -> None:
    known: BoundedCache[str, int] = BoundedCache(10)
    assert known.get("two") is None
    known.put("two", 2, size=1)
    assert known.get("two") == 2


def test_what_would_not_fit_empties_it_first_and_what_never_fits_is_not_kept() -> None:
    known: BoundedCache[str, int] = BoundedCache(10)
    known.put("six", 6, size=6)
    known.put("five", 5, size=5)
    assert (known.get("six"), known.get("five")) == (None, 5)
    known.put("eleven", 11, size=11)
    assert (known.get("five"), known.get("eleven")) == (5, None)


def test_a_value_that_is_put_twice_counts_once() -> None:
    known: BoundedCache[str, int] = BoundedCache(10)
    for _ in range(3):
        known.put("six", 6, size=6)
    known.put("four", 4, size=4)
    assert (known.get("six"), known.get("four")) == (6, 4)


@given(pages=st.lists(st.lists(st.integers(0, 20), max_size=8), max_size=10), most=st.integers(0, 30))
def test_all_of_them_are_as_read_and_known_ones_are_not_read_again(pages: list[list[int]], most: int) -> None:
    known: BoundedCache[int, str] = BoundedCache(most)
    for keys in pages:
        here = {key for key in keys if known.get(key) is not None}
        read: list[int] = []

        def reader(wanted: Sequence[int], read: list[int] = read) -> list[str]:
            read.extend(wanted)
            return [str(key) for key in wanted]

        assert known.get_all(keys, reader, size=len) == [str(key) for key in keys]
        assert sorted(read) == sorted(set(keys) - here)
        assert sum(len(str(key)) for key in range(21) if known.get(key) is not None) <= most
