"""Published collections in an object store.

Below the prefix, each collection has a folder:

    papers/manifest.json              the bytes of the collection's file; written last
    papers/generations/000042.json    of each generation that is kept; those of shards below `shards/`
    papers/files/<SHA-256>            every other file, under its digest

An object in `files/` never changes, whatever collection is published under the name.  Files that a later generation
names again, also by another path, are there already.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from mmap import mmap
from pathlib import Path

from obstore.exceptions import BaseError, NotFoundError

from indexer.replicas.source import CHUNK_BYTES, END_BYTES, check_manifest_size
from indexer.sources.s3_store import open_store, reason_of_store
from retrieval.errors import SourceUnavailable
from retrieval.index.storage.checksums import FileRecord
from retrieval.index.storage.manifest import MANIFEST

FILES = "files"
DELETED_TOGETHER = 1_000
PARTS_TOGETHER = 4  # of a large file that is sent; more need a faster line within the time of a request


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of a collection, by its path below the collection's folder."""

    path: Path
    size_bytes: int
    modified: datetime


class Bucket:
    """The published collections below a prefix, or the one of the prefix."""

    def __init__(
        self, address: str, *, endpoint: str = "", region: str = "", seconds: float = 60.0, retries: int = 3
    ) -> None:
        self.address = address
        self._store, self._prefix = open_store(
            address, endpoint=endpoint, region=region, seconds=seconds, retries=retries
        )
        self._only = ""  # the collection whose folder the prefix is; "": the prefix is that of several

    def versions(self) -> dict[str, str]:
        """Return the collections by name, each with the ETag of its manifest."""
        with self._reachable():
            listed = self._store.list_with_delimiter(self._prefix or None)
            manifest = Path(self._prefix, MANIFEST).as_posix()
            if self._prefix and any(each["path"] == manifest for each in listed["objects"]):
                self._only = self._prefix.rpartition("/")[2]
                names = [self._only]
            else:
                names = [prefix.rstrip("/").rpartition("/")[2] for prefix in listed["common_prefixes"]]
            found = {name: self._version(name) for name in sorted(names)}
        return {name: version for name, version in found.items() if version}

    def _version(self, name: str) -> str:
        try:
            head = self._store.head(self._path(name, Path(MANIFEST)))
        except (NotFoundError, FileNotFoundError):
            return ""
        return head["e_tag"] or f"{head['last_modified'].isoformat()} {head['size']}"

    def read(self, name: str, path: Path) -> bytes:
        """Return a manifest of a collection."""
        with self._reachable():
            found = self._store.get(self._path(name, path))
            check_manifest_size(found.meta["size"], f"{self.address}: {name}/{path}")
            return bytes(found.bytes())

    def end(self, name: str, path: Path) -> bytes:
        """Return the last bytes of a manifest."""
        with self._reachable():
            return bytes(self._store.get(self._path(name, path), options={"range": {"suffix": END_BYTES}}).bytes())

    def chunks(self, name: str, path: Path, record: FileRecord) -> Iterator[bytes]:
        """Yield the bytes of a file; `path` does not matter.

        Each request fetches a part, so that the time of a request does not bound the size of a file.
        """
        del path
        stored = self._path(name, Path(FILES, record.sha256))
        for start in range(0, record.size_bytes, CHUNK_BYTES):
            with self._reachable():
                yield bytes(self._store.get_range(stored, start=start, end=min(start + CHUNK_BYTES, record.size_bytes)))

    def list(self, name: str) -> list[StoredObject]:
        """Return all objects of a collection."""
        folder = self._path(name, Path())
        with self._reachable():
            found = [each for part in self._store.list(f"{folder}/") for each in part]
        return [
            StoredObject(Path(each["path"]).relative_to(folder), each["size"], each["last_modified"])
            for each in found
            if each["path"] != folder  # some tools make an object for a folder
        ]

    def write(self, name: str, path: Path, data: bytes | mmap) -> None:
        """Write an object; it appears when it is complete."""
        with self._reachable():
            self._store.put(self._path(name, path), data, max_concurrency=PARTS_TOGETHER)

    def delete(self, name: str, paths: Sequence[Path]) -> None:
        """Remove objects."""
        with self._reachable():
            for start in range(0, len(paths), DELETED_TOGETHER):
                self._store.delete([self._path(name, each) for each in paths[start : start + DELETED_TOGETHER]])

    def _path(self, name: str, path: Path) -> str:
        folder = Path(self._prefix) if name == self._only else Path(self._prefix, name)
        return (folder / path).as_posix()

    @contextmanager
    def _reachable(self) -> Iterator[None]:
        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            raise SourceUnavailable(f"{self.address}: {reason_of_store(error)}") from error
