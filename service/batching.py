"""Dynamic batching: items that arrive while the workers are busy are answered together.

Nothing waits for company.  A batch starts as soon as a worker is free, so one caller alone pays nothing, and under load
batches grow by themselves.  The queue is bounded: past its length an item is refused at once rather than made to wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from time import perf_counter
from typing import Generic, TypeVar

from retrieval.errors import Overloaded

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """`cost` units are the caller's own, such as tokens; a batch holds at least one item whatever it costs."""

    items: int
    cost: int
    queue: int
    workers: int


@dataclass(slots=True)
class _Waiting(Generic[T, R]):
    item: T
    cost: int
    future: asyncio.Future[R]
    since: float


class Batcher(Generic[T, R]):
    """Runs `run` on threads over batches of submitted items.  Lives on one event loop.

    `run` answers each item with a result or with the exception that its caller gets; `observe` is told each batch's
    size and its longest wait in seconds.
    """

    def __init__(
        self,
        run: Callable[[Sequence[T]], Sequence[R | Exception]],
        executor: Executor,
        limits: BatchLimits,
        *,
        name: str,
        cost: Callable[[T], int] = lambda _: 1,
        observe: Callable[[int, float], None] = lambda _size, _wait: None,
    ) -> None:
        self._run = run
        self._executor = executor
        self._limits = limits
        self._name = name
        self._cost = cost
        self._observe = observe
        self._queue: deque[_Waiting[T, R]] = deque()
        self._running = 0

    def __len__(self) -> int:
        """Items that wait."""
        return len(self._queue)

    @property
    def full(self) -> bool:
        """Whether the next item would be refused."""
        return len(self._queue) >= self._limits.queue

    async def submit(self, item: T) -> R:
        """The item's result; raises Overloaded where the queue is full, or what `run` answered for the item."""
        if self.full:
            raise Overloaded(f"the queue of {self._name} is full ({self._limits.queue} wait); try again in a second")
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(item, self._cost(item), future, perf_counter()))
        self._start()
        return await future

    def _start(self) -> None:
        while self._queue and self._running < self._limits.workers:
            batch = self._take()
            if not batch:
                continue
            self._running += 1
            self._observe(len(batch), perf_counter() - batch[0].since)
            running = asyncio.get_running_loop().run_in_executor(self._executor, self._answers, batch)
            running.add_done_callback(lambda done, batch=batch: self._finish(batch, done))  # type: ignore[misc]

    def _take(self) -> list[_Waiting[T, R]]:
        """The next batch; items whose callers have gone are dropped."""
        batch: list[_Waiting[T, R]] = []
        cost = 0
        while self._queue and len(batch) < self._limits.items:
            if batch and cost + self._queue[0].cost > self._limits.cost:
                break
            waiting = self._queue.popleft()
            if not waiting.future.done():
                batch.append(waiting)
                cost += waiting.cost
        return batch

    def _answers(self, batch: Sequence[_Waiting[T, R]]) -> Sequence[R | Exception]:
        return self._run([waiting.item for waiting in batch])

    def _finish(self, batch: Sequence[_Waiting[T, R]], done: asyncio.Future[Sequence[R | Exception]]) -> None:
        self._running -= 1
        failure = done.exception()
        answers: Sequence[R | BaseException] = [failure] * len(batch) if failure else done.result()
        for waiting, answer in zip(batch, answers, strict=True):
            if waiting.future.done():
                continue
            if isinstance(answer, BaseException):
                waiting.future.set_exception(answer)
            else:
                waiting.future.set_result(answer)
        self._start()
