"""Threads for what handlers do not do on the event loop: reading, explaining, rerank_scorer.

There is room for so many calls, waiting and running; the next is refused at once.  One whose caller's time is over
before it began is not begun; one that runs cannot be stopped, and takes up room until it ends.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from retrieval.errors import Overloaded
from retrieval.util.cores import cores
from service.observability.metrics import Metrics

THREADS_PER_CORE = 4  # so that short reads pass by an explanation

T = TypeVar("T")


class BoundedThreadPool:
    """A bounded pool of threads.  Lives on one event loop, until `close`."""

    def __init__(self, capacity: int, metrics: Metrics) -> None:
        self._room = capacity
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(THREADS_PER_CORE * cores(), "attendex")
        self._taken = 0
        self._lock = threading.Lock()

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """`function(*arguments)`.  Raises Overloaded where there is no room, or what the function raises."""
        with self._lock:
            full = self._taken >= self._room
            self._taken += not full
        if full:
            self._metrics.refused("threads")
            raise Overloaded(f"{self._room} calls of this kind are on their way already; try again in a second")
        future = self._threads.submit(function, *arguments)
        future.add_done_callback(self._left)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Let the threads end; what has not begun is dropped, what runs is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _left(self, _done: object) -> None:
        with self._lock:
            self._taken -= 1
