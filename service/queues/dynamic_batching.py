"""Dynamic batching: items that arrive while the workers are busy are answered together.

One caller alone never waits for company: an item begins as soon as an eager worker is free, and under load batches grow
by themselves.  Workers beyond the eager ones begin when enough items wait for a batch to be worth a core of its own.

There is room for so many items, waiting and being answered; the next is refused at once rather than made to wait.  A
burst may fill the room.  Once something had to be refused there is a sixth of it, so that what is accepted under a
flood is answered soon, until a second has passed without a refusal; and until then only the eager workers work.

A batch may have two parts: what is done for all items together (encoding), and then for one after the other
(searching).  A worker that has done the first part leaves the second to other threads, so that the encoder does not
stand still meanwhile, unless there is nothing else to be done; and each answer is handed out as soon as it is made.
Searching is mostly the interpreter's work, of which one thread does more than two that take turns.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Generic, TypeAlias, TypeVar

from retrieval.errors import Overloaded
from retrieval.util.cores import cores

CALM_S = 1.0  # without a refusal, after which there is all the room again
SHEDDING_SHARE = 6  # the part of the room that there is until then

T = TypeVar("T")
R = TypeVar("R")
Answers: TypeAlias = Iterable[R | BaseException]


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """`cost` units are the caller's own, such as tokens; a batch holds at least one item whatever it costs."""

    items: int
    cost: int
    capacity: int  # for items that wait or are being answered
    workers: int  # batches that are begun at a time
    eager: int = 1  # workers that begin with any item; the others wait
    min_batch: int = 1  # for so many
    finishing: int = 0  # threads beside the workers for the second part; 0 where there is none

    @classmethod
    def on_all_cores(cls, *, items: int, cost: int, capacity: int, min_batch: int, finishing: int = 0) -> BatchLimits:
        """A batch begins at once until half of the cores have one; on the others, once there is company."""
        return cls(items, cost, capacity, cores(), max(1, cores() // 2), min_batch, finishing)


@dataclass(slots=True)
class _Waiting(Generic[T, R]):
    item: T
    cost: int
    future: asyncio.Future[R]
    since: float


class Batcher(Generic[T, R]):
    """Runs `run` on threads of its own over batches of submitted items.  Lives on one event loop, until `close`.

    `run` does the first part for a batch, and returns its answers in order: results, or exceptions for their callers.
    An iterator does the second part as it is asked for each.  `observe` is told each batch's size and its longest wait
    in seconds.
    """

    def __init__(
        self,
        run: Callable[[Sequence[T]], Answers[R]],
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
        spare = 1 if limits.finishing else 0  # for one that finishes a batch itself and is a worker no more
        self._workers = ThreadPoolExecutor(limits.workers + spare, f"attendex-{name}")
        self._finishers = ThreadPoolExecutor(max(1, limits.finishing), f"attendex-{name}-rest")
        self._working = 0  # workers that begin batches or are about to
        self._finishing = 0  # batches whose second part is being done or waits for it
        self._in_flight = 0  # items that were taken and not answered
        self._lock = threading.Lock()  # over the queue and these three
        self._refused_at = -CALM_S

    def __len__(self) -> int:
        """Items that wait."""
        return len(self._queue)

    @property
    def full(self) -> bool:
        """Whether the next item would be refused."""
        room = max(1, self._limits.capacity // SHEDDING_SHARE) if self._strained else self._limits.capacity
        return len(self._queue) + self._in_flight >= room

    @property
    def _strained(self) -> bool:
        """Whether something was refused lately."""
        return perf_counter() - self._refused_at < CALM_S

    def refused(self) -> None:
        """Note that something was turned away because this is full."""
        self._refused_at = perf_counter()

    async def submit(self, item: T, *, admitted: bool = False) -> R:
        """The item's result; raises Overloaded where the queue is full, or what `run` answered for the item.

        `begun`: the item goes on with what was let in before, and is not refused.
        """
        if self.full and not admitted:
            self.refused()
            raise Overloaded(f"the queue of {self._name} is full; try again in a second")
        loop = asyncio.get_running_loop()
        waiting: _Waiting[T, R] = _Waiting(item, self._cost(item), loop.create_future(), perf_counter())
        with self._lock:
            self._queue.append(waiting)
            starts = self._working < self._limits.workers and self._worthwhile(self._working)
            self._working += starts
        if starts:
            self._workers.submit(self._work, loop)
        return await waiting.future

    def close(self) -> None:
        """Wait for what runs, and end the threads."""
        self._workers.shutdown()
        self._finishers.shutdown()

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        """Batch after batch, until too little waits; runs on a thread."""
        while batch := self._take():
            self._observe(len(batch), perf_counter() - batch[0].since)
            answers = self._begun(batch)
            if not self._limits.finishing:
                self._finish(loop, batch, answers)
            elif self._leaves():
                self._finishers.submit(self._finish_second_part, loop, batch, answers)
            else:
                self._finish_second_part(loop, batch, answers)
                return

    def _begun(self, batch: Sequence[_Waiting[T, R]]) -> Answers[R]:
        try:
            return self._run([waiting.item for waiting in batch])
        except BaseException as failure:
            return [failure] * len(batch)

    def _finish_second_part(
        self, loop: asyncio.AbstractEventLoop, batch: Sequence[_Waiting[T, R]], answers: Answers[R]
    ) -> None:
        self._finish(loop, batch, answers)
        with self._lock:
            self._finishing -= 1

    def _finish(self, loop: asyncio.AbstractEventLoop, batch: Sequence[_Waiting[T, R]], answers: Answers[R]) -> None:
        left = deque(batch)
        try:
            for waiting, answer in zip(batch, answers, strict=True):
                left.popleft()
                self._hand_over(loop, waiting, answer)
        except BaseException as failure:
            while left:
                self._hand_over(loop, left.popleft(), failure)

    def _hand_over(self, loop: asyncio.AbstractEventLoop, waiting: _Waiting[T, R], answer: R | BaseException) -> None:
        with self._lock:
            self._in_flight -= 1
        loop.call_soon_threadsafe(_hand_out, waiting.future, answer)

    def _leaves(self) -> bool:
        """Whether another thread is to finish the batch.  If not, this one does, and is a worker no more."""
        with self._lock:
            leaves = self._finishing > 0 or self._worthwhile(self._working - 1)
            self._finishing += 1
            self._working -= not leaves
        return leaves

    def _take(self) -> list[_Waiting[T, R]]:
        """The next batch, of items that somebody still waits for.  Where it is empty, the worker is none any more."""
        batch: list[_Waiting[T, R]] = []
        cost = 0
        with self._lock:
            most = self._share() if self._worthwhile(self._working - 1) else 0
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

    def _worthwhile(self, working: int) -> bool:
        """Whether what waits is enough for another batch beside those of so many workers."""
        if working < self._limits.eager:
            return len(self._queue) > 0
        return len(self._queue) >= self._limits.min_batch and not self._strained  # to refuse takes a core, too

    def _share(self) -> int:
        """What the worker has of what waits, for those that are free to be done at the same time."""
        free = self._limits.workers - self._working + 1
        return min(self._limits.items, max(self._limits.min_batch, -(-len(self._queue) // free)))


def _hand_out(future: asyncio.Future[R], answer: R | BaseException) -> None:
    if future.done():
        return
    if isinstance(answer, BaseException):
        future.set_exception(answer)
    else:
        future.set_result(answer)
