"""The lexical index on disk: one folder for each generation.

The folder contains segments (see postings.py), each an inverted index of passages with ascending keys.  It shares
unchanged segments with the folder of the previous generation by hard links.  Adding passages writes a new segment.
Deleting passages writes nothing: readers ignore deleted rows, and merging a segment removes their postings from the
disk.  The writer merges segments so that each is more than twice as large as all that follow it: there are few
segments, and each passage is rewritten a logarithmic number of times.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
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

_SEGMENT_OCCURRENCES = 1 << 22  # collected in memory before a segment is written; about 40 bytes each
_BATCH_PASSAGES = 1 << 10
_BATCH_CHARACTERS = 1 << 20  # analyzed at once
_GROWTH = 2  # a segment stays as it is if it is more than so many times as large as all that follow it


@dataclass(frozen=True, slots=True)
class _Batch:
    """Passages that wait for their analysis."""

    keys: NDArray[np.uint64]
    titles: Sequence[str]
    texts: Sequence[str]

    @property
    def characters(self) -> int:
        return len(self.keys) + sum(map(len, self.titles)) + sum(map(len, self.texts))


class LexicalWriter:
    """Writes the lexical index of a generation, valid after the manifest names it."""

    def __init__(
        self, collection: Path, settings: LexicalSettings, previous: LexicalRecord | None, files: Files
    ) -> None:
        self._parent = collection / LEXICAL
        self._previous = previous
        self._files = files
        self._segments = open_segments(collection, previous) if previous else []
        self._num_previous = len(self._segments)
        last = max((int(segment.name) for segment in self._segments), default=0)
        self._numbers = count(last + 1)
        self._folder: Path | None = None
        self._inverter = Inverter(Analyzer(settings.language, settings.analysis), settings.title_weight)
        self._pending: list[_Batch] = []
        self._pending_characters = 0

    def missing(self, keys: NDArray[np.uint64]) -> Bitmap:
        """Check for each key whether its passage is missing from the index."""
        known = [segment.passages["key"] for segment in self._segments]
        return ~is_member(keys, np.concatenate([np.empty(0, np.uint64), *known]))

    def add(self, keys: Sequence[int] | NDArray[np.uint64], titles: Sequence[str], texts: Sequence[str]) -> None:
        """Add passages.  Their keys ascend, from call to call and above all previous."""
        for start in range(0, len(keys), _BATCH_PASSAGES):
            batch = slice(start, start + _BATCH_PASSAGES)
            self._pending.append(_Batch(np.asarray(keys[batch], np.uint64), titles[batch], texts[batch]))
            self._pending_characters += self._pending[-1].characters
            if self._pending_characters >= _BATCH_CHARACTERS:
                self._invert()

    def commit(self, live_keys: NDArray[np.uint64], *, compact: bool = False) -> LexicalRecord:
        """Write the added passages, merge segments, and make the result durable.

        live_keys: keys of all live passages of the new generation, ascending.  compact: merge all segments into one
        without deleted passages.  Returns the previous record if there is nothing to change.
        """
        self._invert()
        self._write_segment()
        live = [is_member(segment.passages["key"], live_keys) for segment in self._segments]
        groups = _group([int(np.count_nonzero(bitmap)) for bitmap in live], self._num_previous, compact=compact)
        due = [len(group) > 1 or _is_due(live[group[0]], compact=compact) for group in groups]
        if self._previous and self._folder is None and not any(due):
            return self._previous
        records: list[FileRecord] = []
        for group, is_due in zip(groups, due, strict=True):
            records += self._merge(group, live) if is_due else self._link(group[0])
        folder = self._open_folder()
        self._files.sync_directory(folder)
        self._files.sync_directory(self._parent)
        return LexicalRecord(folder.name, tuple(records))

    def _invert(self) -> None:
        """Analyze the pending passages."""
        if not self._pending:
            return
        batches, self._pending, self._pending_characters = self._pending, [], 0
        self._inverter.add(
            np.concatenate([batch.keys for batch in batches]),
            [title for batch in batches for title in batch.titles],
            [text for batch in batches for text in batch.texts],
        )
        if self._inverter.occurrences >= _SEGMENT_OCCURRENCES:
            self._write_segment()

    def _write_segment(self) -> None:
        if not self._inverter.passages:
            return
        folder, name = self._open_folder(), self._next_name()
        self._inverter.write(self._files, folder, name)
        self._segments.append(_open_segment(folder, name, _record_segment(folder, name)))

    def _merge(self, group: range, live: Sequence[Bitmap]) -> tuple[FileRecord, ...]:
        """Write the live passages of some segments, if any, as a new segment."""
        folder, name = self._open_folder(), self._next_name()
        has_live = any(bool(np.any(live[i])) for i in group)
        if has_live:
            sources = [self._segments[i] for i in group]
            merge_postings(sources, [live[i] for i in group], self._files, folder, name)
        for i in group:
            if i >= self._num_previous:
                for record in self._segments[i].files:
                    self._files.unlink(folder / record.name)
        return _record_segment(folder, name) if has_live else ()

    def _link(self, number: int) -> tuple[FileRecord, ...]:
        """Link the unchanged files of a segment into the new folder."""
        segment = self._segments[number]
        if number < self._num_previous and self._previous:
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
    """Open the segments in the order of their keys.  Raises CorruptCollection."""
    folder = collection / LEXICAL / record.name
    names = {file.name.partition("-")[0] for file in record.files}
    opened = [
        _open_segment(folder, name, [file for file in record.files if file.name.startswith(f"{name}-")])
        for name in names
    ]
    return sorted(opened, key=lambda segment: int(segment.passages["key"][0]))


def open_lexical(
    collection: Path, record: LexicalRecord, settings: LexicalSettings, keys: NDArray[np.uint64], live: Bitmap
) -> LexicalReader:
    """Open the lexical index of a generation.  Raises CorruptCollection.

    keys: (rows,), the key of each row, ascending.  live: (rows,).
    """
    return LexicalReader(open_segments(collection, record), settings, keys, live)


def _group(num_live: Sequence[int], num_previous: int, *, compact: bool) -> list[range]:
    """Group the new segments with the small ones before them; the others stay alone."""
    start = 0 if compact else num_previous
    total = sum(num_live[start:])
    while 0 < start < len(num_live) and num_live[start - 1] <= _GROWTH * total:
        start -= 1
        total += num_live[start]
    tail = [range(start, len(num_live))] if start < len(num_live) else []
    return [range(i, i + 1) for i in range(start)] + tail


def _is_due(live: Bitmap, *, compact: bool) -> bool:
    """Check whether over half of a segment is deleted, or, when compacting, anything."""
    deleted = len(live) - int(np.count_nonzero(live))
    return deleted > (0 if compact else len(live) // 2)


def _record_segment(folder: Path, name: str) -> tuple[FileRecord, ...]:
    return tuple(record_file(folder, file_name(name, array)) for array in NAMES)


def _open_segment(folder: Path, name: str, records: Sequence[FileRecord]) -> Postings:
    missing = {file_name(name, array) for array in NAMES} - {record.name for record in records}
    if missing:
        names = ", ".join(sorted(missing))
        raise CorruptCollection(f"the manifest lacks {names}; restore the manifest or index again", path=folder)
    return Postings(folder, name, {record.name: record for record in records})
