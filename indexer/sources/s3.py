"""The objects of an S3-compatible bucket below a prefix: `s3://bucket/prefix`.

Credentials come from the environment, by the names that AWS gave them (AWS_ACCESS_KEY_ID, …), or from the role of the
machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from obstore.exceptions import BaseError
from obstore.store import S3Store

from indexer.sources.settings import SourceSettings
from indexer.sources.source import FoundFile, SourceItem, check_size
from retrieval.errors import BadDocument, SettingsError
from retrieval.util.files import storage_errors

LISTED_TOGETHER = 1_000
CHUNK_BYTES = 8 << 20
MAX_REASON_CHARACTERS = 300
DEFAULT_REGION = "us-east-1"


class S3Source:
    """The objects below a prefix; the versions are their ETags."""

    def __init__(self, settings: SourceSettings) -> None:
        address = urlsplit(settings.source)
        if not address.hostname:
            raise SettingsError(f"{settings.source}: has no bucket; write s3://bucket/prefix")
        self._settings = settings
        self._prefix = address.path.strip("/")
        self._store = S3Store(
            address.netloc,
            config=_configuration(settings),
            client_options={
                "allow_http": settings.endpoint.startswith("http://"),
                "timeout": timedelta(seconds=settings.seconds),
            },
            retry_config={"max_retries": settings.retries, "retry_timeout": timedelta(seconds=4 * settings.seconds)},
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
        shown = f"{self._settings.source.rstrip('/')}/{name}"
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


def _configuration(settings: SourceSettings) -> Any:
    given = {"endpoint": settings.endpoint, "region": settings.region}
    config = {name: value for name, value in given.items() if value}
    if not settings.region and not {"AWS_REGION", "AWS_DEFAULT_REGION"} & os.environ.keys():
        config["region"] = DEFAULT_REGION
    return config


def _failure(error: BaseError) -> BadDocument:
    """Return an error without the details that the library adds on further lines."""
    first = str(error).strip().partition("\n")[0]
    return BadDocument(f"the bucket cannot be read: {first[:MAX_REASON_CHARACTERS]}")
