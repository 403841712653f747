"""Rates of events by caller, in bounded memory.

The generic cell rate algorithm (ITU-T I.371) keeps one time for each caller: when its past events are paid for at the
rate. A caller that has been quiet may use the events of one period at once. The processes of a service share the times.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from retrieval.errors import RateLimited, SettingsError

MAX_CALLERS = 16_384  # the caller that was counted the longest ago is forgotten first
SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
_RATE = re.compile(rf"([1-9]\d{{0,8}})\s*/\s*({'|'.join(SECONDS)})")


class CallerTimes(Protocol):
    """A time for each caller, by the monotonic clock."""

    def get(self, caller: str) -> float:
        """Return the time of a caller; 0 if it has none."""

    def change(self, caller: str, now: float, change: Callable[[float], float]) -> None:
        """Replace the time of a caller by `change` of it."""


class OwnTimes:
    """The times of callers in this process."""

    def __init__(self) -> None:
        self._times: dict[str, float] = {}  # in the order of their last changes

    def get(self, caller: str) -> float:
        """Return the time of a caller; 0 if it has none."""
        return self._times.get(caller, 0.0)

    def change(self, caller: str, now: float, change: Callable[[float], float]) -> None:  # noqa: ARG002
        """Replace the time of a caller by `change` of it."""
        changed = change(self.get(caller))
        self._times.pop(caller, None)
        self._times[caller] = changed
        if len(self._times) > MAX_CALLERS:
            del self._times[next(iter(self._times))]


class Rate:
    """A rate such as "30/minute", for each caller.  An empty text limits nothing.

    `events` names what is counted, for the messages.
    """

    def __init__(self, name: str, text: str, events: str = "requests", times: CallerTimes | None = None) -> None:
        found = _RATE.fullmatch(text.strip())
        if text and not found:
            raise SettingsError(f"{name}: {text!r} is not a rate such as '100/second' or '5000/minute'")
        self._limit = f"{events} than {text}"
        self._period = SECONDS[found[2]] if found else 0
        self._interval = self._period / int(found[1]) if found else 0.0
        self._paid = times or OwnTimes()

    def wait_s(self, caller: str) -> int:
        """Return the seconds until the caller may cause another event; 0: now."""
        return _whole_seconds(self._paid.get(caller) - monotonic() - (self._period - self._interval))

    def check(self, caller: str) -> None:
        """Raise RateLimited unless the caller may cause another event now."""
        self._check(self.wait_s(caller))

    def _check(self, wait_s: float) -> None:
        if seconds := _whole_seconds(wait_s):
            raise RateLimited(f"more {self._limit}; try again in {seconds} s", retry_after_s=seconds)

    def count(self, caller: str) -> None:
        """Count an event of the caller."""
        if self._interval:
            now = monotonic()
            self._paid.change(caller, now, lambda paid: max(now, paid) + self._interval)

    def take(self, caller: str) -> None:
        """Count an event of the caller.  Raises RateLimited if it may not cause one now.

        No other process counts an event of the caller meanwhile.
        """
        if self._interval:
            now = monotonic()

            def pay(paid: float) -> float:
                self._check(paid - now - (self._period - self._interval))
                return max(now, paid) + self._interval

            self._paid.change(caller, now, pay)


def _whole_seconds(wait_s: float) -> int:
    return max(0, math.ceil(wait_s - 1e-6))
