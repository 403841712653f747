"""Points in time: dates, dates with times, and times relative to now; durations.

    2024-05-01   2024-05-01T12:00:00Z   now   now-7d   now + 90m

The units are s, m, h, d and w: seconds, minutes, hours, days of 24 hours, weeks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from retrieval.errors import FilterError

_RELATIVE = re.compile(r"now(?:\s*(?P<sign>[+-])\s*(?P<count>\d{1,9})(?P<unit>[smhdw]))?", re.IGNORECASE)
_DURATION = re.compile(r"(?P<count>\d{1,9})(?P<unit>[smhdw])", re.IGNORECASE)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_EXAMPLES = "write 2024-05-01, or now-7d (units: s, m, h, d, w)"


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time, or a day (UTC) in `[start, end)`."""

    start: datetime
    end: datetime | None = None  # None for a point


def parse_moment(text: str, now: datetime, context: str) -> Moment:
    """Return a date, a date and time, or a time relative to `now`.

    Raises FilterError: `context`, then what is wrong.
    """
    relative = _RELATIVE.fullmatch(text.strip())
    if relative is None:
        return parse_date(text, context)
    try:
        return Moment(now + _offset(relative))
    except OverflowError:
        raise FilterError(f"{context}: {text!r} is outside the years 1 to 9999; use a smaller number") from None


def parse_date(text: str, context: str) -> Moment:
    """Return a date, or a date and time; without a time zone, in UTC."""
    try:
        when = datetime.fromisoformat(text.upper())
        when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
        day = min(timedelta(days=1), datetime.max.replace(tzinfo=UTC) - when)  # the last day ends a microsecond early
        return Moment(when, when + day if _is_day(text) else None)
    except (ValueError, OverflowError) as error:
        raise FilterError(f"{context}: {text!r} is not a date ({error}); {_EXAMPLES}") from None


def parse_duration(text: object, context: str) -> timedelta:
    """Return a duration such as `7d`.  Raises FilterError as `parse_moment`."""
    match = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise FilterError(f"{context} is {text!r}, which is no duration; write 7d (units: s, m, h, d, w)")
    return timedelta(**{_UNITS[match["unit"].lower()]: int(match["count"])})


def _offset(relative: re.Match[str]) -> timedelta:
    sign, count, unit = relative["sign"], relative["count"], relative["unit"]
    return timedelta(**{_UNITS[unit.lower()]: int(sign + count)}) if unit else timedelta()


def _is_day(text: str) -> bool:
    """Check whether a date has no time."""
    try:
        date.fromisoformat(text.upper())
    except ValueError:
        return False
    return True
