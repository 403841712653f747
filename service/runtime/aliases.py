"""Aliases: further names of collections, kept in one file beside them.

The file is replaced as a whole and durably, so that a request sees the old collection or the new one.  Thread-safe;
other processes that serve the same folder read the file when it changes.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path

from retrieval.errors import CollectionError, CollectionNotFound
from retrieval.util.files import Files
from retrieval.util.temporaries import replacing

ALIASES_FILE = "aliases.json"

_Stamp = tuple[int, int, int]


class Aliases:
    """The aliases of the collections in a folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / ALIASES_FILE
        self._lock = threading.Lock()
        self._stamp: _Stamp | None = None
        self._targets: dict[str, str] = {}

    def all(self) -> dict[str, str]:
        """Return the collection of each alias, by alias."""
        return dict(sorted(self._targets.items()))

    def resolve(self, name: str) -> str:
        """Return the collection that an alias names; any other name is returned."""
        return self._targets.get(name, name)

    def refresh(self) -> None:
        """Read the file again if it changed.  Raises CollectionError if it is damaged."""
        with self._lock:
            stamp = self._current_stamp()
            if stamp != self._stamp:
                self._stamp = stamp  # first, so that a damaged file is reported once
                self._targets = {} if stamp is None else self._read()

    def put(self, alias: str, collection: str) -> None:
        """Let an alias name a collection from now on.  Raises StorageError."""
        self.refresh()
        with self._lock:
            self._write({**self._targets, alias: collection})

    def remove(self, alias: str) -> None:
        """Remove an alias.  Raises CollectionNotFound, StorageError."""
        self.refresh()
        with self._lock:
            if alias not in self._targets:
                raise CollectionNotFound(f"no alias {alias!r}; GET /v1/aliases lists them")
            self._write({name: target for name, target in self._targets.items() if name != alias})

    def _write(self, targets: dict[str, str]) -> None:
        with replacing(self._path, Files()) as file:
            file.write(json.dumps(targets, indent=1, sort_keys=True).encode())
        self._targets, self._stamp = targets, self._current_stamp()

    def _read(self) -> dict[str, str]:
        try:
            targets = json.loads(self._path.read_bytes())
        except ValueError as error:
            raise CollectionError(f"{self._path} is not JSON ({error}); repair or remove it") from error
        if not isinstance(targets, dict) or not all(isinstance(target, str) for target in targets.values()):
            raise CollectionError(f"{self._path} is not an object of names; repair or remove it")
        return targets

    def _current_stamp(self) -> _Stamp | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size
