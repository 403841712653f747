"""The query log that a service keeps: searches and clicks, and what they show.

A folder for each collection has parts, one JSON record a line.  The name of a part begins with its day.  Its last line
may be incomplete, if the service ended while it wrote.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeAlias

import orjson

from retrieval.errors import BadJudgments, InputError
from retrieval.util.files import storage_errors
from retrieval.util.work_budget import checkpoint

PART = re.compile(r"(?P<day>\d{8})T\d{12}-[0-9a-f]{8}\.jsonl")
CHECKED_LINES = 1_000  # between two checks whether the request still runs


@dataclass(frozen=True, slots=True)
class LoggedSearch:
    """A search and the first of its hits."""

    id: str
    time: str  # in ISO format, UTC
    query: str
    filter: str
    mode: str
    offset: int
    confidence: str
    hits: tuple[str, ...]  # ids, best first
    comparison: str = ""  # name of the interleaved comparison that the search belongs to
    teams: str = ""  # of the hits, a letter each; see interleaving.py


@dataclass(frozen=True, slots=True)
class LoggedClick:
    """A click on a hit of a search; `position` is its rank, from 1."""

    search_id: str
    time: str
    document: str
    position: int


LogRecord: TypeAlias = LoggedSearch | LoggedClick


class QueryProblem(StrEnum):
    """The kinds of queries that need attention."""

    ZERO_HITS = "zero_hits"
    LOW_CONFIDENCE = "low_confidence"


@dataclass(slots=True)
class QuerySummary:
    """The searches with one query, in any case and spacing."""

    query: str  # of the last search
    last: str  # time of the last search
    searches: int = 0
    zero_hits: int = 0
    low_confidence: int = 0
    clicked: Counter[str] = field(default_factory=Counter)  # clicks by document

    @property
    def clicks(self) -> int:
        return self.clicked.total()

    def count(self, problem: QueryProblem | None) -> int:
        """Return the number of searches with a problem; None: of all."""
        return self.searches if problem is None else int(getattr(self, problem.value))


def encode_record(record: LogRecord) -> bytes:
    """Return a record as a line."""
    kind = "click" if isinstance(record, LoggedClick) else "search"
    return orjson.dumps({"kind": kind, **asdict(record)}, option=orjson.OPT_APPEND_NEWLINE)


def read_records(folder: Path) -> Iterator[LogRecord]:
    """Yield the records of a collection's log, the oldest part first.

    Raises InputError for a missing folder, BadJudgments for a damaged line.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; name the folder of a collection's query log")
    for path in parts(folder):
        with storage_errors(path):
            try:
                lines = path.read_bytes().splitlines(keepends=True)
            except FileNotFoundError:  # its time was over
                continue
        for number, line in enumerate(lines, 1):
            if not number % CHECKED_LINES:
                checkpoint()
            if line.endswith(b"\n"):
                yield _record(line, path, number)


def parts(folder: Path) -> list[Path]:
    """Return the parts of a collection's log, the oldest first."""
    return sorted(path for path in folder.iterdir() if PART.fullmatch(path.name))


def summarize(records: Iterable[LogRecord]) -> dict[str, QuerySummary]:
    """Return the searches of first pages by query, and the clicks on any page."""
    found: dict[str, QuerySummary] = {}
    keys: dict[str, str] = {}  # of the queries, by the ids of their searches
    for record in records:
        if isinstance(record, LoggedClick):
            if record.search_id in keys:
                found[keys[record.search_id]].clicked[record.document] += 1
            continue
        key = keys[record.id] = query_key(record.query)
        summary = found.setdefault(key, QuerySummary(record.query, record.time))
        if record.offset == 0:
            summary.query, summary.last = record.query, record.time
            summary.searches += 1
            summary.zero_hits += not record.hits
            summary.low_confidence += record.confidence == "low"
    return found


def most_frequent(found: Iterable[QuerySummary], count: int, problem: QueryProblem | None = None) -> list[QuerySummary]:
    """Return the queries with the most searches, or the most with a problem."""
    wanted = [each for each in found if each.count(problem)]
    return sorted(wanted, key=lambda each: (-each.count(problem), query_key(each.query)))[:count]


def query_key(query: str) -> str:
    """Return what equal queries share."""
    return " ".join(query.casefold().split())


def _record(line: bytes, path: Path, number: int) -> LogRecord:
    try:
        values: dict[str, Any] = orjson.loads(line)
        if values.pop("kind") == "click":
            return LoggedClick(**values)
        return LoggedSearch(**{**values, "hits": tuple(values["hits"])})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadJudgments(f"{path}:{number}: is no record of a query log ({error}); remove the line") from error
