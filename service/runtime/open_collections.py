"""The open collections by name, each with its newest good generation.

`refresh` reads the manifests. It opens a newly committed generation beside the one that is served, warms it, and
swaps them between two requests. The old generation is closed when its last request is done. If a generation fails to
open, the last good one stays in service, and the next attempt follows half a minute later. A generation with a
truncated file leaves the service.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from indexer.building.collection_lifecycle import drop_collection
from indexer.readers.base.outcomes import printable
from retrieval.errors import (
    AttendexError,
    CollectionError,
    CollectionExists,
    CollectionNotFound,
    CorruptCollection,
    InputError,
)
from retrieval.index.collection.index_reader import manifest_stamp
from retrieval.index.storage.manifest import MANIFEST
from retrieval.search.searcher import Searcher
from retrieval.util.remote_names import is_remote
from retrieval.util.work_budget import WorkBudget
from service.observability.logs import LOGGER
from service.processes.peers import Peers
from service.processes.publications import Publications
from service.processes.shared_numbers import Column
from service.runtime.aliases import Aliases
from service.runtime.joined_collections import JoinedCollections

RETRY_S = 30.0  # until the next attempt to open a generation that failed

COLLECTION_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"  # of new collections

JOIN = "/"  # between the names of collections that are searched together

Stamp: TypeAlias = tuple[int, int]
UNREADABLE: Stamp = (0, 0)  # of a manifest that the system does not show


@dataclass(slots=True, eq=False)
class _Served:
    """An open generation and the number of requests that use it."""

    path: Path
    searcher: Searcher
    stamp: Stamp
    users: int = 0
    retired: bool = False


@dataclass(frozen=True, slots=True)
class _Failure:
    """A generation that failed to open."""

    stamp: Stamp
    error: Exception
    at: float  # by the monotonic clock


class OpenCollections:
    """The collections below `root`, or `root` itself if it is one.  Thread-safe."""

    def __init__(
        self,
        root: Path,
        open_collection: Callable[[Path, Searcher | None], Searcher],
        peers: Peers | None = None,
    ) -> None:
        self.root = root
        peers = peers or Peers.alone()
        self.publications = Publications(peers, self.refresh)
        self.failed = peers.count(Column.FAILED_COLLECTIONS)
        self._open = open_collection
        self._served: dict[str, _Served] = {}
        self._failures: dict[str, _Failure] = {}
        self._lock = threading.Lock()  # guards both; not held while a collection is opened
        self._refreshing = threading.Lock()
        self._has_remote = False  # whether the encoder of a served collection is behind a URL
        self._joined = JoinedCollections()
        self.aliases = Aliases(root)
        self._logger = logging.getLogger(LOGGER)

    @property
    def is_folder(self) -> bool:
        """Whether `root` is a folder in which new collections can be created."""
        return not is_collection(self.root)

    def names(self) -> list[str]:
        """Return the names of the served collections, in order."""
        with self._lock:
            return sorted(self._served)

    def failures(self) -> dict[str, str]:
        """Return the reason why the newest generation is not served, by collection."""
        with self._lock:
            return {name: type(failure.error).__name__ for name, failure in self._failures.items()}

    def path(self, name: str) -> Path:
        """Return the directory of a served collection."""
        with self._lock:
            return self._find(name).path

    def remote_encoder(self, name: str) -> str:
        """Return the name of a collection's remote encoder; "" if its encoder is local."""
        if not self._has_remote:
            return ""
        with self.lease(name) as searcher:
            encoder = searcher.encoder.fingerprint.name
        return encoder if is_remote(encoder) else ""

    @contextmanager
    def lease(self, name: str) -> Iterator[Searcher]:
        """Yield the open searcher, for a `joined_name` that of its collections.

        Raises CollectionNotFound, CollectionError, BadQuery.
        """
        if name.startswith(JOIN):
            with ExitStack() as leases:
                parts = [leases.enter_context(self.lease(each)) for each in name.split(JOIN)[1:]]
                yield self._joined.searcher(name, parts)
            return
        with self._lock:
            served = self._find(name)
            served.users += 1
        try:
            yield served.searcher
        finally:
            with self._lock:
                served.users -= 1
                close = served.retired and not served.users
            if close:
                served.searcher.close()

    def refresh(self) -> None:
        """Open new and changed collections, close removed ones.  Blocks.

        The end of the request that changed a collection does not cancel this.
        """
        with self._refreshing, WorkBudget().applied():
            self._refresh_aliases()
            found = self._on_disk()
            for name, path in found.items():
                self._refresh_one(name, path)
            for name in {*self.names(), *self.failures()} - set(found):
                self._put(name, None)
            self.failed.add(len(self._failures) - self.failed.own)

    def publish(self) -> None:
        """Serve a change of this process in all processes of the service.  Blocks."""
        self.publications.publish()

    def create(self, name: str, make: Callable[[Path], object]) -> None:
        """Make an empty collection and serve it.  Raises CollectionExists, InputError."""
        if not self.is_folder:
            raise InputError("this service serves a single collection; start it on a folder to create others")
        path = self.root / name
        if is_collection(path):
            raise CollectionExists(f"a collection {name!r} exists already; choose another name")
        if self.aliases.resolve(name) != name:
            raise CollectionExists(f"{name!r} is an alias; remove the alias first, or choose another name")
        with WorkBudget().applied():  # a request that ends leaves no half of a collection
            make(path)
        self.publish()

    def drop(self, name: str) -> None:
        """Remove a collection.  Raises CollectionNotFound, CollectionLocked."""
        path = self._on_disk().get(name)
        if path is None:
            raise CollectionNotFound(no_collection(name))
        if not self.is_folder:
            raise InputError("a service of one collection cannot drop it; stop the service and delete the directory")
        drop_collection(path)
        self.publish()

    def put_alias(self, alias: str, collection: str) -> None:
        """Let an alias name a served collection.

        Raises CollectionNotFound, CollectionExists for the name of a collection, InputError without a folder.
        """
        if not self.is_folder:
            raise InputError("this service serves a single collection; start it on a folder to name others")
        with self._lock:
            if collection not in self._served:
                raise CollectionNotFound(no_collection(collection))
        if alias in self._on_disk():
            raise CollectionExists(f"a collection {alias!r} exists; choose another name for the alias")
        self.aliases.put(alias, collection)
        self.publish()

    def remove_alias(self, alias: str) -> None:
        """Remove an alias.  Raises CollectionNotFound, StorageError."""
        self.aliases.remove(alias)
        self.publish()

    def close(self) -> None:
        """Close every collection as soon as its last request is done."""
        for name in self.names():
            self._put(name, None)

    def _find(self, name: str) -> _Served:
        if name not in self._served:
            name = self.aliases.resolve(name)
        served = self._served.get(name)
        if served is None and name in self._failures:
            raise CollectionError(f"collection {name!r} cannot be opened; the service's log names the cause")
        if served is None:
            raise CollectionNotFound(no_collection(name))
        return served

    def _on_disk(self) -> dict[str, Path]:
        if is_collection(self.root):
            return {printable(self.root.resolve().name): self.root}
        if not self.root.is_dir():
            return {}
        paths = (path for path in sorted(self.root.iterdir()) if path.name[0] != ".")
        return {printable(path.name): path for path in paths if _may_be_collection(path)}

    def _refresh_one(self, name: str, path: Path) -> None:
        if not os.path.lexists(path):  # the collection was dropped after it was listed
            return
        stamp = manifest_stamp(path) or UNREADABLE
        with self._lock:
            served, failure = self._served.get(name), self._failures.get(name)
        if served and served.stamp == stamp:
            self._check(name, served)
            return
        if failure and failure.stamp == stamp and time.monotonic() - failure.at < RETRY_S:
            return
        try:
            searcher = self._open(path, served.searcher if served else None)
        except Exception as error:  # any error: the other collections are served
            self._failed(name, _Failure(stamp, error, time.monotonic()), failure)
        else:
            self._put(name, _Served(path, searcher, stamp))

    def _refresh_aliases(self) -> None:
        """Read the aliases; keep the known ones if the file is damaged."""
        try:
            self.aliases.refresh()
        except CollectionError as error:
            self._logger.error("aliases cannot be read", extra={"fields": {"error": str(error)}})

    def _check(self, name: str, served: _Served) -> None:
        """Stop serving a generation with a truncated file, before a read ends the process."""
        try:
            served.searcher.reader.check_sizes()
        except CorruptCollection as error:
            self._put(name, None)
            self._failed(name, _Failure(served.stamp, error, time.monotonic()), None)

    def _failed(self, name: str, failure: _Failure, before: _Failure | None) -> None:
        """Record the failure.  Log it only if it differs from the last one."""
        with self._lock:
            self._failures[name] = failure
        if before is None or (before.stamp, str(before.error)) != (failure.stamp, str(failure.error)):
            fields = {"collection": name, "error": str(failure.error)}
            expected = isinstance(failure.error, AttendexError | OSError)
            trace = None if expected else failure.error
            self._logger.error("collection cannot be opened", exc_info=trace, extra={"fields": fields})

    def _put(self, name: str, new: _Served | None) -> None:
        """Serve `new` instead of the present generation; None: serve nothing."""
        with self._lock:
            old = self._served.pop(name, None)
            if new is not None:
                self._served[name] = new
            encoders = (each.searcher.encoder.fingerprint.name for each in self._served.values())
            self._has_remote = any(map(is_remote, encoders))
            self._failures.pop(name, None)
            close = old is not None and not old.users
            if old is not None:
                old.retired = True
        if old is not None and close:
            old.searcher.close()


def joined_name(names: Sequence[str]) -> str:
    """Return the name of collections together, which no collection can have."""
    return JOIN + JOIN.join(names)


def no_collection(name: str) -> str:
    """Return the message for a collection that is unknown or out of scope."""
    return f"no collection {name!r} here; GET /v1/collections lists them"


def is_collection(path: Path) -> bool:
    """Check whether the directory holds a collection, readable or not."""
    return (path / MANIFEST).is_file()


def _may_be_collection(path: Path) -> bool:
    """Check whether to open a directory.

    A directory that cannot be read is reported if it may be a collection.  No collection has the name `lost+found`, of
    a directory that only root can read.
    """
    try:
        return is_collection(path)
    except OSError:
        return re.fullmatch(COLLECTION_NAME, path.name) is not None
