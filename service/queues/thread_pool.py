"""A bounded thread pool for calls that must not block the event loop.

Such calls read documents, explain hits and rerank. The pool accepts a limited number of calls, waiting and running, and
refuses the next one at once. A call whose request is cancelled before the call starts never starts. A running call
cannot be stopped; it counts until it ends.
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

THREADS_PER_CORE = 4  # so that short reads do not wait for an explanation

T = TypeVar("T")


class BoundedThreadPool:
    """Runs calls on threads.  Belongs to one event loop, until `close`."""

    def __init__(self, capacity: int, metrics: Metrics) -> None:
        self._capacity = capacity
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(THREADS_PER_CORE * cores(), "attendex")
        self._in_use = 0
        self._lock = threading.Lock()

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Return `function(*arguments)`, run on a thread.  Raises Overloaded if full."""
        with self._lock:
            full = self._in_use >= self._capacity
            self._in_use += not full
        if full:
            self._metrics.refused("threads")
            raise Overloaded(f"{self._capacity} calls of this kind are in progress; try again in a second")
        future = self._threads.submit(function, *arguments)
        future.add_done_callback(self._release)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Drop the waiting calls, and do not wait for the running ones."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _release(self, _done: object) -> None:
        with self._lock:
            self._in_use -= 1
