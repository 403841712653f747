"""Files that gave no document this time, although the collection may hold some of theirs: then nothing is deleted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

from indexer.readers import FileOutcome, FileStatus
from indexer.readers.formats.format_table import format_for_suffix
from retrieval.index.collection.index_reader import open_index_reader
from retrieval.index.storage.manifest import MANIFEST


class UnreadFiles:
    """Listens to a run, and passes on to `on_file` what it hears.

    A file that is being written is empty or cut when it is read, and looks as if its documents were gone.
    """

    def __init__(self, on_file: Callable[[FileOutcome], None]) -> None:
        self._on_file = on_file
        self._failed = 0  # without an error of their own, as a table that has lost its rows
        self._skipped: list[str] = []

    def __call__(self, outcome: FileOutcome) -> None:
        """Take note of one file."""
        if outcome.status is FileStatus.SKIPPED:
            self._skipped.append(outcome.name)
        elif outcome.status is FileStatus.FAILED and not outcome.bad:
            self._failed += 1
        self._on_file(outcome)

    def known_to(self, collection: Path) -> int:
        """How many of the files may be those of documents that `collection` holds."""
        if not (collection / MANIFEST).exists():
            return 0
        with open_index_reader(collection) as reader:
            held = sum(_has_own_ids(name) or reader.find(name) is not None for name in self._skipped)
        return self._failed + held


def _has_own_ids(name: str) -> bool:
    """Whether the documents of such a file are not called after it, so that nobody can say which they were."""
    named = (format_for_suffix(suffix) for suffix in PurePosixPath(name).suffixes[-2:])
    return any(found is not None and found.has_own_metadata for found in named)
