"""When a call is tried again, and after how long."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

RETRIED = (429, 503)  # and a conflict that ends by itself, with Retry-After
LONGEST_PAUSE_S, LONGEST_RETRY_AFTER_S = 10.0, 60.0


def pauses(retries: int) -> Iterator[float | None]:
    """Yield growing, random seconds to wait after attempts; None after the last."""
    for attempt in range(retries):
        yield random.uniform(0.5, 1.0) * min(LONGEST_PAUSE_S, 0.2 * 2.0**attempt)
    yield None


def pause_after(response: httpx.Response, code: str, pause: float | None) -> float | None:
    """Return the seconds until the next attempt; None for a final refusal.

    The attempt is never made before `Retry-After`: if that is too long, the refusal is final.
    """
    retry_after = response.headers.get("retry-after", "")
    is_passing = response.status_code in RETRIED or (response.status_code == 409 and bool(retry_after))
    if pause is None or not is_passing or code == "deadline_exceeded":
        return None
    wait = _retry_after(retry_after)
    return pause + wait if wait <= LONGEST_RETRY_AFTER_S else None


def pause_without_answer(error: httpx.TransportError, pause: float | None) -> float | None:
    """Return the seconds until the next attempt; None after a timeout."""
    waited = isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout)
    return None if waited else pause  # the same request would take too long again


def _retry_after(text: str) -> float:
    """Return the seconds of a Retry-After header, which is a number or a date."""
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):  # no such header, a wrong date, or one without a zone
        return 0.0
