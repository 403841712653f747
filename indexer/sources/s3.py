"""The objects of an S3-compatible bucket below a prefix: `s3://bucket/prefix`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from obstore.exceptions import BaseError

from indexer.sources.s3_store import open_store, reason_of_store
from indexer.sources.settings import SourceSettings
from indexer.sources.source import FoundFile, SourceItem, check_size
from retrieval.errors import BadDocument
from retrieval.util.files import storage_errors

LISTED_TOGETHER = 1_000
CHUNK_BYTES = 8 << 20


class S3Source:
    """The objects below a prefix; the versions are their ETags."""

    def __init__(self, settings: SourceSettings) -> None:
        self._settings = settings
        self._store, self._prefix = open_store(
            settings.source,
            endpoint=settings.endpoint,
            region=settings.region,
            seconds=settings.seconds,
            retries=settings.retries,
        )

    def __enter__(self) -> S3Source:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: the store closes its connections by itself."""

    def version(self, known: str) -> str:  # noqa: ARG002
        """Return "": only the list tells."""
        return ""

    def list(self) -> Iterator[SourceItem]:
        """Yield the objects.  Raises BadDocument."""
        try:
            for objects in self._store.list(self._prefix or None, chunk_size=LISTED_TOGETHER):
                yield from (self._item(each) for each in objects if not each["path"].endswith("/"))
        except BaseError as error:
            raise _failure(error) from error

    def _item(self, found: Any) -> SourceItem:
        path: str = found["path"]
        name = path.removeprefix(self._prefix).lstrip("/") or path.rpartition("/")[2]
        version = found["e_tag"] or f"{found['last_modified'].isoformat()} {found['size']}"
        shown = f"{self._settings.shown.rstrip('/')}/{name}"
        return SourceItem(f"{self._settings.prefix}{name}", version, shown, handle=found)

    def fetch(self, item: SourceItem, path: Path) -> FoundFile:
        """Save an object as `path`.  Raises BadDocument."""
        limit = self._settings.item_bytes
        check_size(item.handle["size"], limit)
        try:
            chunks = self._store.get(item.handle["path"]).stream(min_chunk_size=CHUNK_BYTES)
            size = 0
            with storage_errors(path), path.open("wb") as file:
                for chunk in chunks:
                    size += len(chunk)
                    check_size(size, limit)
                    file.write(chunk)
        except BaseError as error:
            raise _failure(error) from error
        modified = item.handle["last_modified"].timestamp()
        os.utime(path, (modified, modified))
        return FoundFile(path, item.origin, is_temporary=True)


def _failure(error: BaseError) -> BadDocument:
    return BadDocument(f"the bucket cannot be read: {reason_of_store(error)}")
