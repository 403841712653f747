"""Keep requests below a rate of requests and of tokens a minute."""

from __future__ import annotations

import threading
import time

from retrieval.util.work_budget import checkpoint

SLICE_S = 0.2  # between two checks whether a caller still waits for the result


class Pace:
    """Spaces requests evenly, so that no minute has more than its share.  Thread-safe."""

    def __init__(self, requests_per_minute: int, tokens_per_minute: int) -> None:
        self._request_s = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._token_s = 60.0 / tokens_per_minute if tokens_per_minute else 0.0
        self._free_at = 0.0  # by the monotonic clock
        self._lock = threading.Lock()

    def reserve(self, tokens: int, max_wait_s: float) -> float | None:
        """Take the next free time; return the seconds until then, or None if too many."""
        with self._lock:
            now = time.monotonic()
            wait = max(0.0, self._free_at - now)
            if wait > max_wait_s:
                return None
            self._free_at = now + wait + max(self._request_s, tokens * self._token_s)
            return wait

    def pause(self, seconds: float) -> None:
        """Start no further request before so many seconds."""
        with self._lock:
            self._free_at = max(self._free_at, time.monotonic() + seconds)


def wait(seconds: float) -> None:
    """Wait.  Raises WorkCancelled when no caller waits for the result any more."""
    until = time.monotonic() + seconds
    while (remaining := until - time.monotonic()) > 0:
        checkpoint()
        time.sleep(min(remaining, SLICE_S))
