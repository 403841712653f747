"""Bounded thread pools for calls that must not block the event loop.

The service has two: one for short calls, which read documents, and one with few threads for long calls, which explain
hits, rerank or measure, so that long calls delay neither short ones nor searches. A pool accepts a limited number of
calls, waiting and running, and refuses the next one at once. A call whose request is cancelled before the call starts
never starts. A running call ends at its next checkpoint (`retrieval/util/work_budget.py`); it counts until it ends.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

from retrieval.errors import Overloaded
from service.observability.metrics import Metrics
from service.processes.shared_numbers import SharedCount

T = TypeVar("T")


class BoundedThreadPool:
    """Runs calls on threads.  Belongs to one event loop, until `close`."""

    def __init__(self, threads: int, capacity: int, in_use: SharedCount, metrics: Metrics) -> None:
        self._capacity = capacity
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(threads, "attendex")
        self._in_use = in_use
        self._lock = threading.Lock()

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Return `function(*arguments)`, run on a thread.  Raises Overloaded if full."""
        with self._lock:
            self._in_use.add(1)
            full = self._in_use.total() > self._capacity
            if full:
                self._in_use.add(-1)
        if full:
            self._metrics.refused("threads")
            raise Overloaded(f"{self._capacity} calls of this kind are in progress; try again in a second")
        future = self._threads.submit(copy_context().run, function, *arguments)
        future.add_done_callback(self._release)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Drop the waiting calls, and do not wait for the running ones."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _release(self, _done: object) -> None:
        with self._lock:
            self._in_use.add(-1)
