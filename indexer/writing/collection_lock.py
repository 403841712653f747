"""The lock of a writer on a collection's directory, which it makes if needed."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

from indexer.writing.garbage import COLLECTION_ENTRIES, FOLDERS, LOCK
from indexer.writing.resume_journal import JOURNAL
from retrieval.errors import NotACollection, StorageError
from retrieval.index.storage.manifest import MANIFEST, read_manifest, was_committed
from retrieval.util.files import FileLock, Files, storage_errors, take_lock

log = logging.getLogger(__name__)

_ATTEMPTS = 100
_RACE_ERRORS = (FileNotFoundError, FileExistsError)  # another first build may remove the directory between two steps


class CollectionLock:
    """One writer's lock on a directory, from `acquire` to `release`.

    A directory that was made for the lock is removed again if the writer commits nothing.
    """

    def __init__(self, path: Path, files: Files) -> None:
        self.path = path
        self._files = files
        self._made: list[Path] = []  # directories that did not exist before, outermost first
        self._lock: FileLock | None = None

    def acquire(self, *, create: bool, wait_s: float) -> None:
        """Acquire the lock; `create` makes the directory if it is missing.

        Raises NotACollection, CollectionLocked after `wait_s` seconds, StorageError.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with storage_errors(self.path):
                    self._prepare(create=create)
                self._lock = take_lock(self.path / LOCK, wait_s=wait_s)
            except StorageError as error:
                self._remove_made()
                if attempt == _ATTEMPTS or not isinstance(error.__cause__, _RACE_ERRORS):
                    raise
            else:
                return

    def release(self) -> None:
        """Release the lock; remove the directory of a first build that finished nothing."""
        assert self._lock is not None
        try:
            if not was_committed(self.path) and not (self.path / JOURNAL).exists():
                self._clear()
        finally:
            self._lock.release()

    def _prepare(self, *, create: bool) -> None:
        """Make the directory of a new collection; refuse a directory with foreign files."""
        self._made = []
        if (self.path / MANIFEST).exists():
            return
        if not create or was_committed(self.path):
            read_manifest(self.path)  # raises the error that says how to recover a collection without its manifest
        names = self._names()
        foreign = [name for name in names if not _is_collection_entry(name)]
        if foreign:
            raise NotACollection(f"{self.path}: holds other files ({foreign[0]!r}); name a new or an empty directory")
        for folder in (*reversed(self.path.parents), self.path):
            if not folder.exists():
                self._made.append(folder)
                self._files.make_directory(folder)
                self._files.sync_directory(folder.parent)
        if names:  # a first build that was killed left the directory
            self._made = [self.path]

    def _names(self) -> list[str]:
        try:
            return sorted(path.name for path in self.path.iterdir())
        except FileNotFoundError:
            return []
        except NotADirectoryError as error:
            raise NotACollection(f"{self.path}: is a file; name a directory") from error

    def _clear(self) -> None:
        """Remove the empty folders, the lock file, and the directories that were made."""
        try:
            for folder in (self.path / name for name in FOLDERS):
                if folder.exists():
                    self._files.remove_directory(folder)
            self._files.unlink(self.path / LOCK)  # last: after it another writer can enter the directory
        except StorageError as error:
            log.warning("a first build failed, and its directory cannot be removed: %s", error)
        else:
            self._remove_made()

    def _remove_made(self) -> None:
        """Remove the directories that were made, unless another writer has entered them."""
        with suppress(StorageError):
            for folder in reversed(self._made):
                self._files.remove_directory(folder)


def _is_collection_entry(name: str) -> bool:
    """Check whether a first build that was killed may have left a file of this name."""
    return name in COLLECTION_ENTRIES or name.startswith(tuple(f".{entry}." for entry in COLLECTION_ENTRIES))
