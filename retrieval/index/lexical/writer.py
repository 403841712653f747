"""The lexical index on disk: one folder a generation, made from the one before by hard links.

It holds segments (see postings.py), each an inverted index of passages with ascending keys.  Adding writes a new
segment; deleting writes nothing, since readers count only the rows that are alive; what has died leaves the disk when
its segment is merged.  Segments are merged so that each is more than twice as large as all that follow it: there
are few of them, and a passage is rewritten a logarithmic number of times.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import CorruptCollection
from retrieval.index.lexical.analyzer import Analyzer
from retrieval.index.lexical.inverter import Inverter
from retrieval.index.lexical.postings import NAMES, Postings, file_name
from retrieval.index.lexical.postings_merge import merge_postings
from retrieval.index.lexical.reader import LexicalReader
from retrieval.index.storage.checksums import FileRecord, record_file
from retrieval.index.storage.manifest import LEXICAL, LexicalRecord
from retrieval.index.storage.settings import LexicalSettings
from retrieval.types import Bitmap
from retrieval.util.arrays import is_member
from retrieval.util.files import Files

_SEGMENT_OCCURRENCES = 1 << 22  # gathered in memory before a segment is written; about 40 bytes each
_BATCH = 1 << 10  # passages taken at a time
_BATCH_CHARACTERS = 1 << 20  # split together
_GROWTH = 2  # a segment is merged with those behind it unless it is more than so many times as large


@dataclass(frozen=True, slots=True)
class _Batch:
    """Passages that wait to be split together with others."""

    keys: NDArray[np.uint64]
    titles: Sequence[str]
    texts: Sequence[str]

    @property
    def characters(self) -> int:
        return len(self.keys) + sum(map(len, self.titles)) + sum(map(len, self.texts))


class LexicalWriter:
    """Makes the lexical index of the next generation; nothing of it counts before a manifest names its record."""

    def __init__(
        self, collection: Path, settings: LexicalSettings, previous: LexicalRecord | None, files: Files
    ) -> None:
        self._parent = collection / LEXICAL
        self._previous = previous
        self._files = files
        self._segments = open_segments(collection, previous) if previous else []
        self._kept = len(self._segments)
        self._numbers = iter(range(1 + max((int(each.name) for each in self._segments), default=0), 1 << 30))
        self._folder: Path | None = None
        self._inverter = Inverter(Analyzer(settings.language), settings.title_weight)
        self._waiting: list[_Batch] = []
        self._waiting_characters = 0

    def missing(self, keys: NDArray[np.uint64]) -> Bitmap:
        """Which of these passages are not in the index."""
        known = [each.passages["key"] for each in self._segments]
        return ~is_member(keys, np.concatenate([np.empty(0, np.uint64), *known]))

    def add(self, keys: Sequence[int] | NDArray[np.uint64], titles: Sequence[str], texts: Sequence[str]) -> None:
        """Add passages; their keys ascend, from call to call and above those that are there."""
        for start in range(0, len(keys), _BATCH):
            batch = slice(start, start + _BATCH)
            self._waiting.append(_Batch(np.asarray(keys[batch], np.uint64), titles[batch], texts[batch]))
            self._waiting_characters += self._waiting[-1].characters
            if self._waiting_characters >= _BATCH_CHARACTERS:
                self._invert()

    def commit(self, live_keys: NDArray[np.uint64], *, compact: bool = False) -> LexicalRecord:
        """Write what was added, merge what is due, make all of it durable.

        live_keys: of all passages that are alive in the new generation, ascending.  `compact` makes one segment
        without dead passages of them all.  Returns the previous record when there is nothing to change.
        """
        self._invert()
        self._write_segment()
        alive = [is_member(each.passages["key"], live_keys) for each in self._segments]
        groups = _plan([int(np.count_nonzero(each)) for each in alive], self._kept, compact=compact)
        due = [len(group) > 1 or _is_due(alive[group[0]], compact=compact) for group in groups]
        if self._previous and self._folder is None and not any(due):
            return self._previous
        records: list[FileRecord] = []
        for group, merged in zip(groups, due, strict=True):
            records += self._merged(group, alive) if merged else self._linked(group[0])
        folder = self._open_folder()
        self._files.sync_directory(folder)
        self._files.sync_directory(self._parent)
        return LexicalRecord(folder.name, tuple(records))

    def _invert(self) -> None:
        """Split the passages that wait."""
        if not self._waiting:
            return
        waiting, self._waiting, self._waiting_characters = self._waiting, [], 0
        self._inverter.add(
            np.concatenate([each.keys for each in waiting]),
            [title for each in waiting for title in each.titles],
            [text for each in waiting for text in each.texts],
        )
        if self._inverter.occurrences >= _SEGMENT_OCCURRENCES:
            self._write_segment()

    def _write_segment(self) -> None:
        if not self._inverter.passages:
            return
        folder, name = self._open_folder(), self._next_name()
        self._inverter.write(self._files, folder, name)
        self._segments.append(_open(folder, name, _recorded(folder, name)))

    def _merged(self, group: range, alive: Sequence[Bitmap]) -> tuple[FileRecord, ...]:
        """A new segment of the passages that are alive in those of `group`; nothing where there are none."""
        folder, name = self._open_folder(), self._next_name()
        living = any(bool(np.any(alive[i])) for i in group)
        if living:
            sources = [self._segments[i] for i in group]
            merge_postings(sources, [alive[i] for i in group], self._files, folder, name)
        for i in group:
            if i >= self._kept:
                for record in self._segments[i].files:
                    self._files.unlink(folder / record.name)
        return _recorded(folder, name) if living else ()

    def _linked(self, number: int) -> tuple[FileRecord, ...]:
        """A segment as it is."""
        segment = self._segments[number]
        if number < self._kept and self._previous:
            folder = self._open_folder()
            for record in segment.files:
                self._files.link(self._parent / self._previous.name / record.name, folder / record.name)
        return segment.files

    def _next_name(self) -> str:
        return f"{next(self._numbers):06d}"

    def _open_folder(self) -> Path:
        if self._folder is None:
            self._folder = self._parent / secrets.token_hex(8)
            self._files.make_directory(self._folder)
        return self._folder


def open_segments(collection: Path, record: LexicalRecord) -> list[Postings]:
    """The segments of a lexical index in the order of their keys.  Raises CorruptCollection."""
    folder = collection / LEXICAL / record.name
    names = {each.name.partition("-")[0] for each in record.files}
    opened = [
        _open(folder, name, [each for each in record.files if each.name.startswith(f"{name}-")]) for name in names
    ]
    return sorted(opened, key=lambda segment: int(segment.passages["key"][0]))


def open_lexical(
    collection: Path, record: LexicalRecord, settings: LexicalSettings, keys: NDArray[np.uint64], live: Bitmap
) -> LexicalReader:
    """The lexical index of a generation, over its rows.  Raises CorruptCollection."""
    return LexicalReader(open_segments(collection, record), settings, keys, live)


def _plan(live: Sequence[int], kept: int, *, compact: bool) -> list[range]:
    """Segments as groups of neighbours, each to become one: the new ones, and those before them that are small."""
    start = 0 if compact else kept
    total = sum(live[start:])
    while 0 < start < len(live) and live[start - 1] <= _GROWTH * total:
        start -= 1
        total += live[start]
    tail = [range(start, len(live))] if start < len(live) else []
    return [range(i, i + 1) for i in range(start)] + tail


def _is_due(alive: Bitmap, *, compact: bool) -> bool:
    """Whether a segment is rewritten by itself: more than half of it has died, or any of it when compacting."""
    dead = len(alive) - int(np.count_nonzero(alive))
    return dead > (0 if compact else len(alive) // 2)


def _recorded(folder: Path, name: str) -> tuple[FileRecord, ...]:
    return tuple(record_file(folder, file_name(name, array)) for array in NAMES)


def _open(folder: Path, name: str, records: Sequence[FileRecord]) -> Postings:
    missing = {file_name(name, array) for array in NAMES} - {record.name for record in records}
    if missing:
        raise CorruptCollection(f"the manifest lacks {', '.join(sorted(missing))}", path=folder)
    return Postings(folder, name, {record.name: record for record in records})
