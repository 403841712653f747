"""Dynamic batching: items that wait together are processed together.

A single request is never delayed to fill a batch: a free eager worker takes an item at once. Batches grow while the
workers are busy. The workers beyond the eager ones start only when `min_batch` items wait, so that their batch is worth
a core.

A queue holds a limited number of items, waiting or in progress, and refuses the next one at once (`LoadShedding`).
While it sheds load, only the eager workers take batches.

A batch may have two parts: one for all items together (encoding), then one for each item in turn (searching).  After
the first part, a worker leaves the second part to another thread, so that the encoder stays busy; if no work waits, the
worker does the second part itself.  Each caller gets its answer as soon as it is made.  The second part runs mostly in
the interpreter, where one thread does more than two threads that take turns.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from dataclasses import dataclass
from time import monotonic, perf_counter
from typing import Generic, TypeAlias, TypeVar

from retrieval.errors import Overloaded
from retrieval.util.cores import cores
from retrieval.util.work_budget import WorkBudget
from service.processes.peers import Peers
from service.processes.shared_numbers import Column, QueueNumbers

SHEDDING_SECONDS = 1.0  # after a refusal
SHEDDING_SHARE = 6  # while it sheds load, a queue holds this part of its capacity

T = TypeVar("T")
R = TypeVar("R")
Answers: TypeAlias = Iterable[R | BaseException]


class LoadShedding:
    """The capacity of a queue, which is a sixth for one second after each refusal.

    A burst may fill the queue. Under a flood the queue stays short, so that accepted items are answered soon.
    `numbers` hold over all processes of a service.
    """

    def __init__(
        self, capacity: int, clock: Callable[[], float] = monotonic, numbers: QueueNumbers | None = None
    ) -> None:
        numbers = numbers or Peers.alone().queue(Column.SEARCH)
        self.items, self.waiting = numbers.items, numbers.waiting
        self._until = numbers.sheds_until
        self._capacity = capacity
        self._clock = clock

    @property
    def active(self) -> bool:
        """Whether the queue refused an item within the last second."""
        return self._clock() < self._until.latest()

    @property
    def capacity(self) -> int:
        """The number of items that the queue holds now."""
        return max(1, self._capacity // SHEDDING_SHARE) if self.active else self._capacity

    def record_refusal(self) -> None:
        self._until.set(self._clock() + SHEDDING_SECONDS)


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Sizes of batches and numbers of threads."""

    items: int
    cost: int  # in the caller's unit, such as tokens; a batch holds one item even above it
    workers: int  # threads that take batches
    eager: int = 1  # workers that take any item; the other workers wait
    min_batch: int = 1  # for so many items
    finishing: int = 0  # further threads for the second part; 0: the batches have one part

    @classmethod
    def on_all_cores(cls, *, items: int, cost: int, min_batch: int, finishing: int = 0) -> BatchLimits:
        """Return limits with one worker for each core, half of them eager."""
        return cls(items, cost, cores(), max(1, cores() // 2), min_batch, finishing)


@dataclass(slots=True)
class _Waiting(Generic[T, R]):
    item: T
    cost: int
    future: asyncio.Future[R]
    since: float
    context: Context  # of the caller, with its budget


class Batcher(Generic[T, R]):
    """Runs `run` over batches of submitted items, on its own threads.

    A batcher belongs to one event loop, until `close`. `run` does the first part for a batch and returns the answers in
    order: results, or exceptions for the callers. If it returns an iterator, each step does the second part of one
    item, in the context of its caller. Work that no caller waits for ends at its next checkpoint. `observe` gets the
    size of each batch and the longest wait of its items in seconds.
    """

    def __init__(
        self,
        run: Callable[[Sequence[T]], Answers[R]],
        limits: BatchLimits,
        shedding: LoadShedding,
        *,
        name: str,
        cost: Callable[[T], int] = lambda _: 1,
        observe: Callable[[int, float], None] = lambda _size, _wait: None,
    ) -> None:
        self._run = run
        self._limits = limits
        self._shedding = shedding
        self._items, self._queued = shedding.items, shedding.waiting
        self._name = name
        self._cost = cost
        self._observe = observe
        self._queue: deque[_Waiting[T, R]] = deque()
        spare = 1 if limits.finishing else 0  # for the thread that finishes its batch and is no longer a worker
        self._workers = ThreadPoolExecutor(limits.workers + spare, f"attendex-{name}")
        self._finishers = ThreadPoolExecutor(max(1, limits.finishing), f"attendex-{name}-rest")
        self._working = 0  # workers that take batches or are about to
        self._finishing = 0  # batches whose second part runs or waits
        self._lock = threading.Lock()  # guards the queue and the three counts

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def full(self) -> bool:
        """Whether the queue refuses the next item."""
        return self._items.total() >= self._shedding.capacity

    def record_refusal(self) -> None:
        """Note that the caller refused an item because the queue is full."""
        self._shedding.record_refusal()

    async def submit(self, item: T, *, admitted: bool = False) -> R:
        """Return the item's result.

        Raises Overloaded if the queue is full, or the exception that `run` answered for the item. An `admitted` item
        belongs to a list whose first item was accepted: the queue does not refuse it.
        """
        loop = asyncio.get_running_loop()
        waiting: _Waiting[T, R] = _Waiting(item, self._cost(item), loop.create_future(), perf_counter(), copy_context())
        with self._lock:
            self._items.add(1)
            if not admitted and self._items.total() > self._shedding.capacity:
                self._items.add(-1)
                self.record_refusal()
                raise Overloaded(f"the queue of {self._name} is full; try again in a second")
            self._queue.append(waiting)
            self._queued.add(1)
            starts = self._working < self._limits.workers and self._is_worthwhile(self._working)
            self._working += starts
        if starts:
            self._workers.submit(self._work, loop)
        return await waiting.future

    def close(self) -> None:
        """Wait for the running batches, then end the threads."""
        self._workers.shutdown()
        self._finishers.shutdown()

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        """Process batch after batch until too few items wait; runs on a thread."""
        while batch := self._take():
            self._observe(len(batch), perf_counter() - batch[0].since)
            answers = self._start(batch)
            if not self._limits.finishing:
                self._finish(loop, batch, answers)
            elif self._leaves_second_part():
                self._finishers.submit(self._finish_second_part, loop, batch, answers)
            else:
                self._finish_second_part(loop, batch, answers)
                return

    def _start(self, batch: Sequence[_Waiting[T, R]]) -> Answers[R]:
        abandoned = WorkBudget(is_cancelled=lambda: all(waiting.future.done() for waiting in batch))
        try:
            with abandoned.applied():
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
        remaining = deque(batch)
        steps = iter(answers)

        def step() -> R | BaseException:
            for answer in steps:
                return answer
            raise ValueError("a batch has fewer answers than items")

        try:
            for waiting in batch:
                answer = waiting.context.run(step)
                remaining.popleft()
                self._deliver(loop, waiting, answer)
            deque(steps, maxlen=0)  # an iterator does its last part after the last answer
        except BaseException as failure:
            while remaining:
                self._deliver(loop, remaining.popleft(), failure)

    def _deliver(self, loop: asyncio.AbstractEventLoop, waiting: _Waiting[T, R], answer: R | BaseException) -> None:
        with self._lock:
            self._items.add(-1)
        loop.call_soon_threadsafe(_resolve, waiting.future, answer)

    def _leaves_second_part(self) -> bool:
        """Decide whether another thread finishes the batch, or this one stops working."""
        with self._lock:
            leaves = self._finishing > 0 or self._is_worthwhile(self._working - 1)
            self._finishing += 1
            self._working -= not leaves
        return leaves

    def _take(self) -> list[_Waiting[T, R]]:
        """Return the next batch.  An empty batch tells the worker to exit."""
        batch: list[_Waiting[T, R]] = []
        cost = 0
        with self._lock:
            max_items = self._share() if self._is_worthwhile(self._working - 1) else 0
            while self._queue and len(batch) < max_items:
                if batch and cost + self._queue[0].cost > self._limits.cost:
                    break
                waiting = self._queue.popleft()
                self._queued.add(-1)
                if waiting.future.done():
                    self._items.add(-1)
                else:
                    batch.append(waiting)
                    cost += waiting.cost
            self._working -= not batch
        return batch

    def _is_worthwhile(self, working: int) -> bool:
        """Check whether enough items wait for a batch beside `working` workers."""
        if working < self._limits.eager:
            return len(self._queue) > 0
        return len(self._queue) >= self._limits.min_batch and not self._shedding.active  # refusals need a core, too

    def _share(self) -> int:
        """Return the number of waiting items for this worker: the free workers share them."""
        free = self._limits.workers - self._working + 1
        return min(self._limits.items, max(self._limits.min_batch, -(-len(self._queue) // free)))


def _resolve(future: asyncio.Future[R], answer: R | BaseException) -> None:
    if future.done():
        return
    if isinstance(answer, BaseException):
        future.set_exception(answer)
    else:
        future.set_result(answer)
