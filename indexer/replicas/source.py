"""The seam of the places that a follower copies collections from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from retrieval.errors import SourceUnavailable
from retrieval.index.storage.checksums import FileRecord

CHUNK_BYTES = 4 << 20  # of one request
END_BYTES = 128
MAX_MANIFEST_BYTES = 256 << 20  # that of a collection of several terabytes


class ReplicaSource(Protocol):
    """A folder or a bucket with collections; its methods raise SourceUnavailable."""

    address: str

    def versions(self) -> dict[str, str]:
        """Return the collections by name, each with what each commit changes.  Cheap."""

    def read(self, name: str, path: Path) -> bytes:
        """Return a manifest of a collection, by its path in the collection."""

    def end(self, name: str, path: Path) -> bytes:
        """Return the last `END_BYTES` of a manifest, which has a checksum there."""

    def chunks(self, name: str, path: Path, record: FileRecord) -> Iterator[bytes]:
        """Yield the bytes of a file of a collection, unchecked."""


def check_manifest_size(size_bytes: int, what: str) -> None:
    """Raise SourceUnavailable for a file that is too large for a manifest."""
    if size_bytes > MAX_MANIFEST_BYTES:
        raise SourceUnavailable(f"{what} has more than {MAX_MANIFEST_BYTES:,} bytes, too many for a manifest")
