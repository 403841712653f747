"""The writer of an inverted index on disk: one folder for each generation.

The folder contains segments (see postings.py), each an inverted index of passages with ascending keys.  It shares
unchanged segments with the folder of the previous generation by hard links.  Adding passages writes a new segment.
Deleting passages writes nothing: readers ignore deleted rows, and merging a segment removes their postings from the
disk.  The writer merges segments so that each is more than twice as large as all that follow it: there are few
segments, and each passage is rewritten a logarithmic number of times.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import CorruptCollection
from retrieval.index.lexical.postings import NAMES, TITLES, Postings, file_name
from retrieval.index.lexical.postings_merge import merge_postings
from retrieval.index.storage.checksums import FileRecord, record_file
from retrieval.index.storage.manifest import LEXICAL, PostingsRecord
from retrieval.types import Bitmap
from retrieval.util.arrays import is_member
from retrieval.util.files import Files

_GROWTH = 2  # a segment stays as it is if it is more than so many times as large as all that follow it

WriteSegment = Callable[[Files, Path, str], None]  # writes the files of a segment, by its name, into a folder


class PostingsWriter:
    """Writes the inverted index of a generation, valid after the manifest names it."""

    def __init__(self, collection: Path, previous: PostingsRecord | None, files: Files) -> None:
        self._parent = collection / LEXICAL
        self._previous = previous
        self._files = files
        self._segments = open_segments(collection, previous) if previous else []
        self._num_previous = len(self._segments)
        last = max((int(segment.name) for segment in self._segments), default=0)
        self._numbers = count(last + 1)
        self._folder: Path | None = None

    def missing(self, keys: NDArray[np.uint64]) -> Bitmap:
        """Check for each key whether its passage is missing from the index."""
        known = [segment.passages["key"] for segment in self._segments]
        return ~is_member(keys, np.concatenate([np.empty(0, np.uint64), *known]))

    def add_segment(self, write: WriteSegment) -> None:
        """Add a segment, whose keys are above all previous."""
        folder, name = self._open_folder(), self._next_name()
        write(self._files, folder, name)
        self._segments.append(_open_segment(folder, name, _record_segment(folder, name)))

    def commit(self, live_keys: NDArray[np.uint64], *, compact: bool = False) -> PostingsRecord:
        """Merge segments, and make the result durable.

        live_keys: keys of all live passages of the new generation, ascending.  compact: merge all segments into one
        without deleted passages.  Returns the previous record if there is nothing to change.
        """
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
        return PostingsRecord(folder.name, tuple(records))

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


def open_segments(collection: Path, record: PostingsRecord) -> list[Postings]:
    """Open the segments in the order of their keys.  Raises CorruptCollection."""
    folder = collection / LEXICAL / record.name
    names = {file.name.partition("-")[0] for file in record.files}
    opened = [
        _open_segment(folder, name, [file for file in record.files if file.name.startswith(f"{name}-")])
        for name in names
    ]
    return sorted(opened, key=lambda segment: int(segment.passages["key"][0]))


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
    arrays = (*NAMES, TITLES) if (folder / file_name(name, TITLES)).exists() else NAMES
    return tuple(record_file(folder, file_name(name, array)) for array in arrays)


def _open_segment(folder: Path, name: str, records: Sequence[FileRecord]) -> Postings:
    missing = {file_name(name, array) for array in NAMES} - {record.name for record in records}
    if missing:
        names = ", ".join(sorted(missing))
        raise CorruptCollection(f"the manifest lacks {names}; restore the manifest or index again", path=folder)
    return Postings(folder, name, {record.name: record for record in records})
