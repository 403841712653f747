"""Follow the collections of a folder, while their writers go on.

A writer may remove the files of a generation while they are copied; the follower then finds a newer one.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from indexer.replicas.source import CHUNK_BYTES, END_BYTES, MAX_MANIFEST_BYTES, check_manifest_size
from retrieval.errors import SourceUnavailable
from retrieval.index.collection.index_reader import manifest_stamp
from retrieval.index.storage.checksums import FileRecord
from retrieval.index.storage.manifest import MANIFEST
from retrieval.util.temporaries import is_temporary


class FolderOfCollections:
    """The collections of a folder, or a folder that is a collection."""

    def __init__(self, path: Path) -> None:
        self.address = str(path)
        self._path = path.absolute()

    def versions(self) -> dict[str, str]:
        """Return the collections by name, each with the stamp of its manifest."""
        with _readable(self._path):
            if (self._path / MANIFEST).is_file():
                found = {self._path.name: self._path}
            else:
                found = {each.name: each for each in self._path.iterdir() if _is_served(each)}
            stamps = {name: manifest_stamp(path) for name, path in sorted(found.items())}
        return {name: "-".join(map(str, stamp)) for name, stamp in stamps.items() if stamp}

    def read(self, name: str, path: Path) -> bytes:
        """Return a manifest of a collection."""
        with _open(self._folder(name) / path) as file:
            data = file.read(MAX_MANIFEST_BYTES + 1)
        check_manifest_size(len(data), f"{self.address}: {name}/{path}")
        return data

    def end(self, name: str, path: Path) -> bytes:
        """Return the last bytes of a manifest."""
        with _open(self._folder(name) / path) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - END_BYTES))
            return file.read(END_BYTES)

    def chunks(self, name: str, path: Path, record: FileRecord) -> Iterator[bytes]:
        """Yield the bytes of a file; not more than a byte too many."""
        missing = record.size_bytes + 1
        with _open(self._folder(name) / path) as file:
            while missing and (chunk := file.read(min(CHUNK_BYTES, missing))):
                missing -= len(chunk)
                yield chunk

    def _folder(self, name: str) -> Path:
        return self._path if (self._path / MANIFEST).is_file() else self._path / name


def _is_served(path: Path) -> bool:
    return path.name[0] != "." and not is_temporary(path.name) and (path / MANIFEST).is_file()


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file: a pipe could keep the follower waiting for ever."""
    with _readable(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise SourceUnavailable(f"{path}: is not a regular file; verify the collection there")
            yield file


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SourceUnavailable(f"{path}: cannot be read ({error.strerror or error})") from error
