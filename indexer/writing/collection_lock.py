"""A writer's hold on a directory: made if it is new, locked, and as it was found when nothing came of the work."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

from indexer.writing.garbage import FOLDERS, LOCK, NAMES
from indexer.writing.resume_journal import JOURNAL
from retrieval.errors import NotACollection, StorageError
from retrieval.index.storage.manifest import MANIFEST, read_manifest, was_committed
from retrieval.util.files import Files, Lock, storage_errors, take_lock

log = logging.getLogger(__name__)

_ATTEMPTS = 100
_FLEETING = (FileNotFoundError, FileExistsError)  # another first build may take the directory away between two looks


class CollectionLock:
    """The directory of a collection, held by one writer from `take` to `release`."""

    def __init__(self, path: Path, files: Files) -> None:
        self.path = path
        self._files = files
        self._made: list[Path] = []  # directories that were not there before, outermost first
        self._lock: Lock | None = None

    def take(self, *, create: bool, wait_s: float) -> None:
        """Take the lock; `create` makes the directory where there is none.

        Raises NotACollection, CollectionLocked after `wait_s` seconds, StorageError.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with storage_errors(self.path):
                    self._prepare(create=create)
                self._lock = take_lock(self.path / LOCK, wait_s=wait_s)
            except StorageError as error:
                self._remove_made()
                if attempt == _ATTEMPTS or not isinstance(error.__cause__, _FLEETING):
                    raise
            else:
                return

    def release(self) -> None:
        """Let the next one in; of a first build that finished nothing, nothing stays."""
        assert self._lock is not None
        try:
            if not was_committed(self.path) and not (self.path / JOURNAL).exists():
                self._clear()
        finally:
            self._lock.release()

    def _prepare(self, *, create: bool) -> None:
        """Make the directory of a new collection; refuse one that holds anything else."""
        self._made = []
        if (self.path / MANIFEST).exists():
            return
        if not create or was_committed(self.path):
            read_manifest(self.path)  # says what is wrong, and how to bring back what has lost its manifest
        there = self._names()
        foreign = [name for name in there if not _ours(name)]
        if foreign:
            raise NotACollection(f"{self.path}: holds other things ({foreign[0]!r}); name a new or an empty directory")
        for folder in (*reversed(self.path.parents), self.path):
            if not folder.exists():
                self._made.append(folder)
                self._files.make_directory(folder)
                self._files.sync_directory(folder.parent)
        if there:  # left by a first build that was killed
            self._made = [self.path]

    def _names(self) -> list[str]:
        """What is in the directory; nothing where there is none."""
        try:
            return sorted(each.name for each in self.path.iterdir())
        except FileNotFoundError:
            return []
        except NotADirectoryError as error:
            raise NotACollection(f"{self.path}: is a file; name a directory") from error

    def _clear(self) -> None:
        """Remove the empty folders, the lock that is held, and the directories made for them."""
        try:
            for folder in (self.path / name for name in FOLDERS):
                if folder.exists():
                    self._files.remove_directory(folder)
            self._files.unlink(self.path / LOCK)  # last: from here on another writer may come
        except StorageError as error:
            log.warning("a first build that came to nothing leaves something behind: %s", error)
        else:
            self._remove_made()

    def _remove_made(self) -> None:
        """Remove the directories that were made, unless another writer has come into them."""
        with suppress(StorageError):
            for folder in reversed(self._made):
                self._files.remove_directory(folder)


def _ours(name: str) -> bool:
    """Whether a first writer that was killed may have left a file of that name."""
    return name in NAMES or name.startswith(tuple(f".{each}." for each in NAMES))
