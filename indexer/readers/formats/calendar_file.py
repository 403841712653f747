"""Calendars (iCalendar, RFC 5545): a section for each event or task."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from indexer.readers.base.options import ReadOptions
from indexer.readers.text.charsets import decode
from indexer.readers.text.text_builder import ParsedDocument, TextBuilder, one_line

FOLD = re.compile(r"\n[ \t]")
LINE = re.compile(r'([A-Za-z-]+)((?:;[^:;="]+=(?:"[^"]*"|[^":;]*))*+):(.*)')
ESCAPE = re.compile(r"\\([nN,;\\])")
ENTRIES = frozenset(("VEVENT", "VTODO", "VJOURNAL"))
TIMES = ("DTSTART", "DTEND", "DUE")
TEXTS = ("LOCATION", "DESCRIPTION", "COMMENT")
TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d))?.*")
MAX_ENTRIES = 100_000


@dataclass(slots=True)
class CalendarEntry:
    """One event, task or journal entry: property name → value."""

    values: dict[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The summary on one line."""
        return one_line(self.values.get("SUMMARY", ""))

    def lines(self) -> list[str]:
        """Return the times on one line, then place and description."""
        times = " – ".join(TIME.sub(_shown_time, self.values[name]) for name in TIMES if name in self.values)
        return [text for text in (times, *(self.values.get(name, "").strip() for name in TEXTS)) if text]


def parse_calendar(data: bytes, options: ReadOptions) -> ParsedDocument:
    """Parse a calendar file."""
    del options
    text = decode(data)
    builder = TextBuilder()
    for entry in calendar_entries(text):
        builder.heading(1, entry.title)
        for line in entry.lines():
            builder.block(line, separator="\n")
    name = re.search(r"^(?:X-WR-CALNAME|NAME)[^:\n]*:(.*)$", text, re.MULTILINE)
    builder.title = one_line(name.group(1)) if name else builder.title
    return builder.build()


def calendar_entries(text: str) -> Iterator[CalendarEntry]:
    """Yield the entries of an iCalendar text, in order."""
    return islice(_entries(FOLD.sub("", text)), MAX_ENTRIES)


def _entries(text: str) -> Iterator[CalendarEntry]:
    entry, depth = CalendarEntry(), 0  # depth 1 is the entry itself; an alarm in it is deeper
    for line in text.split("\n"):
        found = LINE.match(line)
        name, value = (found.group(1).upper(), found.group(3)) if found else ("", "")
        if name == "BEGIN" and (depth or value.upper() in ENTRIES):
            entry, depth = (entry if depth else CalendarEntry()), depth + 1
        elif name == "END" and depth:
            depth -= 1
            if not depth:
                yield entry
        elif name and depth == 1:
            entry.values.setdefault(name, ESCAPE.sub(_unescaped, value))
    if depth:  # the text was cut
        yield entry


def _unescaped(match: re.Match[str]) -> str:
    return "\n" if match.group(1) in "nN" else match.group(1)


def _shown_time(match: re.Match[str]) -> str:
    year, month, day, hour, minute = match.groups()
    return f"{year}-{month}-{day}" + (f" {hour}:{minute}" if hour else "")
