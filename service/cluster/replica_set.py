"""Send each request to a replica of a shard, and to a second one if need be.

The second request starts when the first fails, or has taken longer than 95 of 100 requests to this shard.  The first
answer counts (hedged requests, Dean and Barroso 2013).
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Protocol

from retrieval.errors import Overloaded, ShardUnavailable
from retrieval.util.work_budget import checkpoint

FIRST_HEDGE_S = 0.25  # until enough requests were measured
MIN_HEDGE_S = 0.005
MEASURED = 200  # the last requests to a shard, whose times are kept
ENOUGH = 20  # measured requests for a percentile
SHARE = 0.95  # of requests that are faster than the second request starts
AVOIDED_S = 1.0  # after a failure, a replica is asked only if no other one is left
CHECK_S = 0.1  # between checks that the caller still waits


class ReplicaProcess(Protocol):
    """One copy of a shard, in a process of its own."""

    def send(self, message: bytes) -> Future[bytes]:
        """Begin to answer.  Raises Overloaded if too many requests wait.

        An exception of the future tells that the process failed.
        """


@dataclass(slots=True, eq=False)
class _Copy:
    """A replica, with the requests that it has not answered."""

    replica: ReplicaProcess
    waiting: int = 0
    avoided_until: float = 0.0  # by the monotonic clock


class ReplicaSet:
    """The replicas of one shard.  Safe to use from several threads."""

    def __init__(self, shard: str, replicas: Sequence[ReplicaProcess], answer_s: float) -> None:
        self.shard = shard
        self.replicas = tuple(replicas)
        self.answer_s = answer_s  # the deadline of a request
        self._copies = [_Copy(each) for each in replicas]
        self._turn = 0
        self._times: deque[float] = deque(maxlen=MEASURED)
        self._lock = threading.Lock()

    def ask(self, message: bytes) -> HedgedCall:
        """Send a message to the replica with the fewest waiting requests."""
        return HedgedCall(self, message)

    @property
    def hedge_s(self) -> float:
        """The time after which a second replica is asked."""
        with self._lock:
            times = sorted(self._times)
        return max(MIN_HEDGE_S, times[int(SHARE * len(times))]) if len(times) >= ENOUGH else FIRST_HEDGE_S

    def order(self) -> list[_Copy]:
        """Return the replicas, the one to ask first at the front."""
        now = time.monotonic()
        with self._lock:
            self._turn += 1
            turned = self._copies[self._turn % len(self._copies) :] + self._copies[: self._turn % len(self._copies)]
            return sorted(turned, key=lambda copy: (copy.avoided_until > now, copy.waiting))

    def send(self, copy: _Copy, message: bytes) -> Future[bytes]:
        """Send a message to one replica, and count it until it is answered."""
        future = copy.replica.send(message)
        with self._lock:
            copy.waiting += 1
        future.add_done_callback(lambda _: self._done(copy))
        return future

    def _done(self, copy: _Copy) -> None:
        with self._lock:
            copy.waiting -= 1

    def answered(self, seconds: float) -> None:
        """Record the time of an answer."""
        with self._lock:
            self._times.append(seconds)

    def failed(self, copy: _Copy) -> None:
        """Ask other replicas first for a while."""
        with self._lock:
            copy.avoided_until = time.monotonic() + AVOIDED_S


class HedgedCall:
    """One request to a shard, which is on its way; `result` waits for the answer."""

    def __init__(self, replicas: ReplicaSet, message: bytes) -> None:
        self._set = replicas
        self._message = message
        self._started = time.monotonic()
        self._left = replicas.order()
        self._running: dict[Future[bytes], tuple[_Copy, float]] = {}
        self._refused: Overloaded | None = None
        self._send()

    def _send(self) -> None:
        """Send to the next replica that takes the request."""
        while self._left:
            copy = self._left.pop(0)
            try:
                future = self._set.send(copy, self._message)
            except Overloaded as error:
                self._refused = error
                continue
            self._running[future] = copy, time.monotonic()
            return

    def result(self) -> bytes:
        """Return the first answer.  Raises ShardUnavailable, and Overloaded."""
        end = self._started + self._set.answer_s
        hedge_at = self._started + self._set.hedge_s
        while True:
            checkpoint()
            now = time.monotonic()
            if now >= end:
                raise ShardUnavailable(f"it does not answer within {self._set.answer_s:g} s", shard=self._set.shard)
            if self._left and (not self._running or now >= hedge_at):
                self._send()
                hedge_at = math.inf
            if not self._running:
                raise self._refused or ShardUnavailable("its processes failed", shard=self._set.shard)
            done, _ = wait(self._running, min(CHECK_S, end - now, max(0.0, hedge_at - now)), FIRST_COMPLETED)
            for future in done:
                copy, sent = self._running.pop(future)
                if future.exception() is None:
                    self._set.answered(time.monotonic() - sent)
                    return future.result()
                self._set.failed(copy)
