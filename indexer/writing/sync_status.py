"""`sync.json` of a collection: how the last synchronization of each source ended.

It is for people and monitors.  Nothing depends on it: a missing or damaged file tells nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import orjson

from retrieval.index.storage.manifest import was_committed
from retrieval.util.temporaries import replace_atomically

SYNC_STATUS = "sync.json"
MAX_SOURCES = 1_000  # that the file keeps: the newest
MAX_ERROR_CHARACTERS = 500
MAX_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """How the last synchronization of a source ended; times are in ISO format, in UTC."""

    source: str  # its address, without a token
    ended: str
    succeeded: str | None = None  # the end of the last one without an error
    next: str | None = None  # when the next one is due; None if the command ran once
    items: int = 0
    read: int = 0
    unchanged: int = 0
    failed: int = 0
    deleted: int = 0
    missing: int = 0
    repeated: int = 0
    error: str = ""  # why the source could not be listed, or the collection could not be written


def read_status(collection: Path) -> dict[str, SourceStatus]:
    """Return the status of each source, by its address."""
    path = collection / SYNC_STATUS
    with suppress(OSError, ValueError, TypeError, KeyError):
        if path.stat().st_size <= MAX_BYTES:
            found = [SourceStatus(**each) for each in orjson.loads(path.read_bytes())["sources"]]
            for time in (time for each in found for time in (each.ended, each.succeeded, each.next) if time):
                datetime.fromisoformat(time)
            return {each.source: each for each in found}
    return {}


def record_status(collection: Path, found: Sequence[SourceStatus]) -> None:
    """Record the status of sources; a collection that was never committed has none."""
    if not was_committed(collection):
        return
    known = read_status(collection) | {each.source: each for each in found}
    kept = sorted(known.values(), key=lambda each: each.ended, reverse=True)[:MAX_SOURCES]
    replace_atomically(collection / SYNC_STATUS, orjson.dumps({"sources": [asdict(each) for each in kept]}))
