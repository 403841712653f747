"""Dynamic batching: items that arrive while the workers are busy are answered together.

Nothing waits for company.  A batch starts as soon as a worker is free, so one caller alone pays nothing, and under load
batches grow by themselves.  There is room for so many items, waiting and being answered; the next is refused at once
rather than made to wait.  A burst may fill the room.  Once something had to be refused there is a sixth of it, so
that what is accepted under a flood is answered soon, until a second has passed without a refusal.

A worker that is done takes its next batch itself, on its own thread: while the event loop is handing out the last
answers, the next ones are being made.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Generic, TypeVar

from retrieval.errors import Overloaded

CALM_S = 1.0  # without a refusal, after which there is all the room again
STRAINED = 6  # the part of the room that there is until then

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """`cost` units are the caller's own, such as tokens; a batch holds at least one item whatever it costs."""

    items: int
    cost: int
    room: int  # for items that wait or are being answered
    workers: int


@dataclass(slots=True)
class _Waiting(Generic[T, R]):
    item: T
    cost: int
    future: asyncio.Future[R]
    since: float


class Batcher(Generic[T, R]):
    """Runs `run` on threads of its own over batches of submitted items.  Lives on one event loop, until `close`.

    `run` answers each item with a result or with the exception that its caller gets; `observe` is told each batch's
    size and its longest wait in seconds.
    """

    def __init__(
        self,
        run: Callable[[Sequence[T]], Sequence[R | Exception]],
        limits: BatchLimits,
        *,
        name: str,
        cost: Callable[[T], int] = lambda _: 1,
        observe: Callable[[int, float], None] = lambda _size, _wait: None,
    ) -> None:
        self._run = run
        self._limits = limits
        self._name = name
        self._cost = cost
        self._observe = observe
        self._queue: deque[_Waiting[T, R]] = deque()
        self._workers = ThreadPoolExecutor(limits.workers, f"attendex-{name}")
        self._working = 0  # workers that run or are about to
        self._in_flight = 0  # items that they have taken
        self._lock = threading.Lock()  # over the queue and these two
        self._refused_at = -CALM_S

    def __len__(self) -> int:
        """Items that wait."""
        return len(self._queue)

    @property
    def full(self) -> bool:
        """Whether the next item would be refused."""
        room = self._limits.room
        if perf_counter() - self._refused_at < CALM_S:
            room = max(1, room // STRAINED)
        return len(self._queue) + self._in_flight >= room

    def refused(self) -> None:
        """Note that something was turned away because this is full."""
        self._refused_at = perf_counter()

    async def submit(self, item: T) -> R:
        """The item's result; raises Overloaded where the queue is full, or what `run` answered for the item."""
        if self.full:
            self.refused()
            raise Overloaded(f"the queue of {self._name} is full; try again in a second")
        loop = asyncio.get_running_loop()
        waiting: _Waiting[T, R] = _Waiting(item, self._cost(item), loop.create_future(), perf_counter())
        with self._lock:
            self._queue.append(waiting)
            starts = self._working < self._limits.workers
            self._working += starts
        if starts:
            self._workers.submit(self._work, loop)
        return await waiting.future

    def close(self) -> None:
        """Wait for what runs, and end the threads."""
        self._workers.shutdown()

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        """Batch after batch, until nothing waits; runs on a thread."""
        while batch := self._take():
            self._observe(len(batch), perf_counter() - batch[0].since)
            answers = self._answers(batch)
            with self._lock:
                self._in_flight -= len(batch)
            loop.call_soon_threadsafe(_hand_out, batch, answers)

    def _take(self) -> list[_Waiting[T, R]]:
        """The next batch; items whose callers have gone are dropped.  Where it is empty, the worker has ended."""
        batch: list[_Waiting[T, R]] = []
        cost = 0
        with self._lock:
            most = self._share()
            while self._queue and len(batch) < most:
                if batch and cost + self._queue[0].cost > self._limits.cost:
                    break
                waiting = self._queue.popleft()
                if not waiting.future.done():
                    batch.append(waiting)
                    cost += waiting.cost
            self._in_flight += len(batch)
            self._working -= not batch
        return batch

    def _share(self) -> int:
        """Of what waits and runs, what each worker has for all to be done at the same time."""
        fair = -(-(len(self._queue) + self._in_flight) // self._limits.workers)
        return min(self._limits.items, fair)

    def _answers(self, batch: Sequence[_Waiting[T, R]]) -> Sequence[R | BaseException]:
        try:
            return self._run([waiting.item for waiting in batch])
        except BaseException as failure:
            return [failure] * len(batch)


def _hand_out(batch: Sequence[_Waiting[T, R]], answers: Sequence[R | BaseException]) -> None:
    for waiting, answer in zip(batch, answers, strict=True):
        if waiting.future.done():
            continue
        if isinstance(answer, BaseException):
            waiting.future.set_exception(answer)
        else:
            waiting.future.set_result(answer)
