"""A deadline for something that may never answer, begun anew with each sign of life."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Watchdog(threading.Thread):
    """Calls `end` once when a single wait takes longer than `seconds`; time between waits does not count.

    Use as a context.  One thread serves any number of waits.
    """

    def __init__(self, end: Callable[[], None], seconds: float) -> None:
        super().__init__(daemon=True, name="attendex-watchdog")
        self._end = end
        self._seconds = seconds
        self._waiting_since: float | None = None
        self._dismissed = threading.Event()
        self.timed_out = False

    def __enter__(self) -> Watchdog:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._dismissed.set()

    def watch(self, wait: Callable[..., T], *arguments: Any) -> T:
        """What `wait` returns, which it does soon after `end` is called."""
        self._waiting_since = time.monotonic()
        try:
            return wait(*arguments)
        finally:
            self._waiting_since = None

    def run(self) -> None:
        """Sleep until the wait of the moment would be too long, and look whether it still goes on."""
        left = self._seconds
        while not self._dismissed.wait(left):
            since = self._waiting_since
            left = self._seconds - (time.monotonic() - since if since is not None else 0.0)
            if left <= 0:
                self.timed_out = True
                self._end()
                return
