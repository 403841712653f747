"""Open the place that an address names: a folder, or a bucket of an object store."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.replicas.folder_source import FolderOfCollections
from indexer.replicas.source import ReplicaSource
from retrieval.errors import MissingExtra

if TYPE_CHECKING:
    from indexer.replicas.bucket import Bucket

IS_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
FETCH_S, FETCH_RETRIES = 15.0, 1  # of a request of a follower, which looks again soon


def open_replica_source(address: str, *, endpoint: str = "", region: str = "") -> ReplicaSource:
    """Return the source at a path or an address `s3://bucket/prefix`.

    Raises SettingsError, and MissingExtra without the packages of the object store.
    """
    if not IS_ADDRESS.match(address):
        return FolderOfCollections(Path(address))
    return open_bucket(address, endpoint=endpoint, region=region, seconds=FETCH_S, retries=FETCH_RETRIES)


def open_bucket(
    address: str, *, endpoint: str = "", region: str = "", seconds: float = 60.0, retries: int = 3
) -> Bucket:
    """Return the published collections at an address.

    `seconds` bounds each request; the retries last four times as long at most.
    Raises SettingsError, and MissingExtra without the packages of the object store.
    """
    try:
        from indexer.replicas.bucket import Bucket
    except ImportError as error:
        raise MissingExtra("s3", f"using {address}") from error
    return Bucket(address, endpoint=endpoint, region=region, seconds=seconds, retries=retries)
