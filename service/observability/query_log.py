"""Writes the query log on a thread of its own, in parts, within its bounds.

A search never waits for the log and never fails because of it: if the thread cannot keep up, records are left out and
counted.  Retention removes whole parts.
"""

from __future__ import annotations

import logging
import os
import queue
import secrets
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import TypeAlias

from retrieval.errors import SettingsError
from retrieval.metrics.query_log import PART, LoggedClick, LoggedSearch, LogRecord, encode_record, parts
from retrieval.results import SearchResult
from retrieval.types import SearchRequest
from retrieval.util.redaction import redact, shortened
from service.config.log_settings import QueryLogSettings
from service.observability.logs import LOGGER

WAITING = 10_000  # records; more are left out
BATCH = 1_000  # records written together
KEPT_HITS = 10  # of a search
KEPT_TEAMS = 100  # of an interleaved search
KEPT_CHARACTERS = 1_000  # of a query, and of a filter
PARTS = 8  # of the log of a collection, at most
PRUNE_S = 3600.0  # between two looks for old parts, if nothing is written

Waiting: TypeAlias = tuple[str, LogRecord]  # with the name of the collection


@dataclass(slots=True)
class _LogPart:
    """The part of a collection that this process writes."""

    path: Path
    day: date
    size_bytes: int = 0


class QueryLog:
    """The log of all collections below a folder.  Thread-safe."""

    def __init__(self, settings: QueryLogSettings, folder: Path, drop: Callable[[], None], processes: int = 1) -> None:
        """Start the thread.  `drop` is called for each record that is left out.

        Each of `processes` writes a part of its own.
        """
        self._settings = settings
        self._part_bytes = settings.bytes // (PARTS * processes)
        self._growing_bytes = self._part_bytes * processes
        self._folder = folder
        self._drop = drop
        self._queue: queue.Queue[Waiting | None] = queue.Queue(WAITING)
        self._parts: dict[str, _LogPart] = {}
        self._failure = ""
        self._try(self._prune, 0)
        self._thread = threading.Thread(target=self._work, name="attendex-query-log")
        self._thread.start()

    def folder(self, collection: str) -> Path:
        """Return the folder of a collection's log; it may not exist yet."""
        return self._folder / collection

    def search(
        self, collection: str, request: SearchRequest, result: SearchResult, comparison: str = "", teams: str = ""
    ) -> str:
        """Record a search; return the id that its clicks name.

        An interleaved search has the name of its comparison, and the teams of its hits.
        """
        search_id = secrets.token_hex(8)
        record = LoggedSearch(
            id=search_id,
            time=_now(),
            query=shortened(request.query, KEPT_CHARACTERS),
            filter=shortened(request.filter, KEPT_CHARACTERS),
            mode=result.mode.value,
            offset=request.offset,
            confidence=result.confidence.value,
            hits=tuple(hit.id for hit in result.hits[:KEPT_HITS]),
            comparison=comparison,
            teams=teams[:KEPT_TEAMS],
        )
        self._put(collection, record)
        return search_id

    def click(self, collection: str, search_id: str, document: str, position: int) -> None:
        """Record a click on a hit."""
        self._put(collection, LoggedClick(search_id, _now(), document, position))

    def close(self) -> None:
        """Write what waits, and end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _put(self, collection: str, record: LogRecord) -> None:
        try:
            self._queue.put_nowait((collection, record))
        except queue.Full:
            self._drop()

    def _work(self) -> None:
        running = True
        while running:
            waiting = self._next()
            running = None not in waiting
            records: dict[str, list[LogRecord]] = {}
            for collection, record in filter(None, waiting):
                records.setdefault(collection, []).append(record)
            for collection, batch in records.items():
                self._try(lambda name=collection, batch=batch: self._write(name, batch), len(batch))  # type: ignore[misc]
            if not waiting:
                self._try(self._prune, 0)

    def _next(self) -> list[Waiting | None]:
        """Wait for records; none if the time for a look at old parts has come."""
        try:
            found = [self._queue.get(timeout=PRUNE_S)]
        except queue.Empty:
            return []
        with suppress(queue.Empty):
            while len(found) < BATCH:
                found.append(self._queue.get_nowait())
        return found

    def _try(self, step: Callable[[], None], records: int) -> None:
        """Run a step; count the records that it loses, and log each reason once."""
        try:
            step()
            self._failure = ""
        except Exception as error:  # the thread must go on: the end of the service waits for it
            for _ in range(records):
                self._drop()
            if self._failure != str(error):
                self._failure = str(error)
                logging.getLogger(LOGGER).error(
                    "the query log cannot be written", extra={"fields": {"error": str(error)}}
                )

    def _write(self, collection: str, records: Sequence[LogRecord]) -> None:
        lines = [encode_record(self._redacted(record)) for record in records]
        while lines:
            part = self._part(collection, len(lines[0]))
            ends = accumulate(map(len, lines), initial=part.size_bytes)
            fitting = max(1, sum(end <= self._part_bytes for end in ends) - 1)
            self._append(collection, part, b"".join(lines[:fitting]))
            del lines[:fitting]

    def _append(self, collection: str, part: _LogPart, lines: bytes) -> None:
        descriptor = os.open(part.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            written = os.write(descriptor, lines)
        finally:
            os.close(descriptor)
        part.size_bytes += written
        if written < len(lines):
            del self._parts[collection]  # its last line is incomplete
            raise OSError(f"{part.path}: only {written:,} of {len(lines):,} bytes could be written")

    def _redacted(self, record: LogRecord) -> LogRecord:
        if not self._settings.redact or isinstance(record, LoggedClick):
            return record
        return replace(record, query=redact(record.query), filter=redact(record.filter))

    def _part(self, collection: str, size_bytes: int) -> _LogPart:
        """Return the part for a line; start one each day, and when one is full."""
        now = datetime.now(UTC)
        part = self._parts.get(collection)
        if part is None or part.day != now.date() or part.size_bytes + size_bytes > self._part_bytes:
            folder = self.folder(collection)
            folder.mkdir(mode=0o700, exist_ok=True)
            name = f"{now:%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}.jsonl"
            part = self._parts[collection] = _LogPart(folder / name, now.date())
            self._prune()
        return part

    def _prune(self) -> None:
        """Remove the parts that are too old or too many, of all collections."""
        oldest = f"{datetime.now(UTC).date() - timedelta(days=self._settings.days):%Y%m%d}"
        for folder in filter(Path.is_dir, self._folder.iterdir()):
            room = self._settings.bytes - self._growing_bytes  # the parts that are written grow
            for path in reversed(parts(folder)):
                room -= path.stat().st_size
                named = PART.fullmatch(path.name)
                if room < 0 or (named is not None and named["day"] < oldest):
                    path.unlink(missing_ok=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def require_log_folder(settings: QueryLogSettings) -> None:
    """Make the folder of the query log, if there is one.

    Raises SettingsError if it cannot be written.
    """
    folder = settings.folder
    if folder is None:
        return
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"query_log.folder: {folder} cannot be made ({error.strerror}); name another one"
        ) from error
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise SettingsError(f"query_log.folder: {folder} cannot be written; change its owner or name another one")
