"""A request goes to another replica if the first is slow, refuses or fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from retrieval.errors import Overloaded, ShardUnavailable
from service.cluster.replica_set import ENOUGH, FIRST_HEDGE_S, ReplicaSet


class ThreadReplica:
    """A replica that answers with its name on a thread; `release` lets it answer."""

    def __init__(self, name: str, pool: ThreadPoolExecutor) -> None:
        self.name = name
        self.asked = 0
        self.fails = self.refuses = False
        self.release = threading.Event()
        self.release.set()
        self._pool = pool

    def send(self, message: bytes) -> Future[bytes]:
        if self.refuses:
            raise Overloaded("too many requests wait")
        self.asked += 1
        return self._pool.submit(self._answer, message)

    def _answer(self, message: bytes) -> bytes:
        self.release.wait()
        if self.fails:
            raise ConnectionError("the process ended")
        return self.name.encode() + message


@pytest.fixture
def pair() -> Iterator[list[ThreadReplica]]:
    with ThreadPoolExecutor(8) as pool:
        made = [ThreadReplica(name, pool) for name in "ab"]
        yield made
        for each in made:
            each.release.set()


def test_replicas_take_turns(pair: list[ThreadReplica]) -> None:
    replicas = ReplicaSet("0001", pair, 60.0)
    answers = [replicas.ask(b"1").result() for _ in range(10)]
    assert (answers.count(b"a1"), answers.count(b"b1")) == (5, 5)


def test_a_slow_replica_is_not_waited_for(pair: list[ThreadReplica]) -> None:
    replicas = ReplicaSet("0001", pair, 60.0)
    pair[0].release.clear()
    assert {replicas.ask(b"1").result() for _ in range(6)} == {b"b1"}
    assert pair[0].asked < 3  # a replica with fewer waiting requests is asked first
    pair[0].release.set()


def test_the_time_of_a_second_request_follows_the_first_answers(pair: list[ThreadReplica]) -> None:
    replicas = ReplicaSet("0001", pair, 60.0)
    assert replicas.hedge_s == FIRST_HEDGE_S
    for number in range(1, ENOUGH + 1):
        replicas.answered(number / 100)
    assert replicas.hedge_s == 0.2  # the 95th percentile of 0.01 to 0.20 s


def test_a_failed_replica_is_avoided(pair: list[ThreadReplica]) -> None:
    replicas = ReplicaSet("0001", pair, 60.0)
    pair[0].fails = True
    assert {replicas.ask(b"1").result() for _ in range(10)} == {b"b1"}
    assert pair[0].asked == 1
    pair[1].fails = True
    with pytest.raises(ShardUnavailable, match="its processes failed") as caught:
        replicas.ask(b"1").result()
    assert caught.value.shard == "0001"


def test_full_queues_refuse_a_request(pair: list[ThreadReplica]) -> None:
    replicas = ReplicaSet("0001", pair, 60.0)
    pair[0].refuses = True
    assert {replicas.ask(b"1").result() for _ in range(4)} == {b"b1"}
    pair[1].refuses = True
    with pytest.raises(Overloaded, match="too many requests wait"):
        replicas.ask(b"1").result()


def test_a_request_has_a_deadline(pair: list[ThreadReplica]) -> None:
    for each in pair:
        each.release.clear()
    with pytest.raises(ShardUnavailable, match=r"does not answer within 0\.3 s"):
        ReplicaSet("0001", pair, 0.3).ask(b"1").result()
    assert [each.asked for each in pair] == [1, 1]
