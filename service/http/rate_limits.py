"""Rates of events by caller, in bounded memory.

The generic cell rate algorithm (ITU-T I.371) keeps one time for each caller: when its past events are paid for at the
rate. A caller that has been quiet may use the events of one period at once.
"""

from __future__ import annotations

import math
import re
from time import monotonic

from retrieval.errors import RateLimited, SettingsError

MAX_CALLERS = 16_384  # the caller that was counted the longest ago is forgotten first
SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
_RATE = re.compile(rf"([1-9]\d{{0,8}})\s*/\s*({'|'.join(SECONDS)})")


class Rate:
    """A rate such as "30/minute", for each caller.  An empty text limits nothing.

    `events` names what is counted, for the messages.
    """

    def __init__(self, name: str, text: str, events: str = "requests") -> None:
        found = _RATE.fullmatch(text.strip())
        if text and not found:
            raise SettingsError(f"{name}: {text!r} is not a rate such as '100/second' or '5000/minute'")
        self._limit = f"{events} than {text}"
        self._period = SECONDS[found[2]] if found else 0
        self._interval = self._period / int(found[1]) if found else 0.0
        self._paid: dict[str, float] = {}  # by caller, in the order of their last events

    def wait_s(self, caller: str) -> int:
        """Return the seconds until the caller may cause another event; 0: now."""
        wait_s = self._paid.get(caller, 0.0) - monotonic() - (self._period - self._interval)
        return max(0, math.ceil(wait_s - 1e-6))

    def check(self, caller: str) -> None:
        """Raise RateLimited unless the caller may cause another event now."""
        if seconds := self.wait_s(caller):
            raise RateLimited(f"more {self._limit}; try again in {seconds} s", retry_after_s=seconds)

    def count(self, caller: str) -> None:
        """Count an event of the caller."""
        if self._interval:
            now = monotonic()
            self._paid[caller] = max(now, self._paid.pop(caller, now)) + self._interval
            if len(self._paid) > MAX_CALLERS:
                del self._paid[next(iter(self._paid))]
