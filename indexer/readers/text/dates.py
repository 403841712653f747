"""Times of files as metadata have them."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_date(seconds: float) -> str:
    """Seconds since 1970 in ISO 8601; "" for a time that is none, as damaged disks and archives have."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return ""
