"""Numbers and times that processes share: two views of one file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.errors import RateLimited
from service.http.rate_limits import Rate
from service.processes.peers import NUMBERS_FILE, Peers
from service.processes.shared_numbers import Column, ProcessState, SharedNumbers
from service.processes.shared_times import SETS, WAYS, SharedTimes


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Peers, Peers]:
    """Return two workers of one service."""
    numbers = SharedNumbers.create(tmp_path / NUMBERS_FILE, rows=3)
    return Peers(numbers, 1, tmp_path), Peers(SharedNumbers.open(tmp_path / NUMBERS_FILE), 2, tmp_path)


def test_a_count_is_that_of_all_processes(pair: tuple[Peers, Peers]) -> None:
    first, second = (peers.count(Column.REQUESTS) for peers in pair)
    first.add(2)
    second.add(3)
    second.add(-1)
    assert (first.total(), second.total(), first.others(), second.others()) == (4, 4, 2, 2)


def test_the_row_of_a_dead_process_counts_nothing(pair: tuple[Peers, Peers]) -> None:
    for peers in pair:
        peers.count(Column.SEARCH).add(5)
    pair[0].numbers.clear(2)
    assert pair[0].count(Column.SEARCH).total() == 5


def test_connections_go_to_the_worker_with_the_fewest(pair: tuple[Peers, Peers]) -> None:
    for number, peers in enumerate(pair, 1):
        peers.numbers.row(peers.row)[Column.NUMBER] = number
        peers.enter(ProcessState.READY)
    turns = []
    for _ in range(6):
        [chosen] = [number for number, peers in enumerate(pair) if peers.has_fewest_connections()]
        pair[chosen].count(Column.CONNECTIONS).add(1)
        turns.append(chosen)
    assert turns == [0, 1, 0, 1, 0, 1]


def test_a_rate_is_that_of_all_processes(tmp_path: Path) -> None:
    first, second = (Rate("rate", "4/hour", times=SharedTimes(tmp_path / "times")) for _ in range(2))
    for rate in (first, second, first, second):
        rate.take("caller")
    for rate in (first, second):
        with pytest.raises(RateLimited):
            rate.take("caller")
        rate.take("another" + str(id(rate)))


@given(st.lists(st.tuples(st.integers(0, 30), st.floats(1, 100)), max_size=60))
def test_times_are_kept_by_caller(changes: list[tuple[int, float]]) -> None:
    file = Path("/dev/shm" if Path("/dev/shm").is_dir() else "/tmp") / f"times-{id(changes)}"
    try:
        times, other, known = SharedTimes(file), SharedTimes(file), dict[str, float]()
        for caller, time in changes:
            times.change(str(caller), 0.0, lambda before, time=time: before + time)  # type: ignore[misc]
            known[str(caller)] = known.get(str(caller), 0.0) + time
        assert {caller: other.get(caller) for caller in known} == known
    finally:
        file.unlink(missing_ok=True)


def test_the_callers_that_are_kept_are_bounded(tmp_path: Path) -> None:
    times = SharedTimes(tmp_path / "times")
    for number in range(2 * SETS * WAYS):
        times.change(str(number), 0.0, lambda _: 1.0)
    kept = sum(times.get(str(number)) > 0 for number in range(2 * SETS * WAYS))
    assert 0.9 * SETS * WAYS < kept <= SETS * WAYS
