"""Keep copies of all collections of a source in a folder, and tell their age.

`status.json` tells every process that serves the folder when the source was last reached.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from indexer.replicas.replica import Replica
from indexer.replicas.source import ReplicaSource
from retrieval.errors import SettingsError, SourceUnavailable
from retrieval.index.storage.manifest import MANIFEST
from retrieval.util.files import FileLock, Files, take_lock

STATUS = ".follow.json"
LOCK = ".follow.lock"
UPDATES = 4  # collections that are fetched at the same time
LOCK_WAIT_S = 10.0  # while the process before ends
MAX_COLLECTIONS = 1_000


@dataclass(frozen=True, slots=True)
class CopyStatus:
    """The copy of a collection; times are those of `time.time`."""

    current_at: float = 0.0  # when it was last known to equal that of the source; 0: never
    error: str = ""  # of the last update, if it failed

    def age_s(self, now: float | None = None) -> float | None:
        """Return for how long it may be out of date; None if there is no copy."""
        return max(0.0, (time.time() if now is None else now) - self.current_at) if self.current_at else None


@dataclass(frozen=True, slots=True)
class FollowStatus:
    """The state of a follower."""

    source: str
    reached_at: float = 0.0
    error: str = ""  # why the source cannot be reached
    collections: Mapping[str, CopyStatus] = field(default_factory=dict)


def read_status(folder: Path) -> FollowStatus | None:
    """Read the state of the follower of a folder; None if there is none."""
    try:
        body = json.loads((folder / STATUS).read_bytes())
        copies = {name: CopyStatus(**each) for name, each in body.pop("collections").items()}
        return FollowStatus(**body, collections=copies)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, AttributeError, KeyError):  # cut short by a power cut; the next poll writes it
        return FollowStatus("")


class Follower:
    """Copies the collections of `source` below `folder`.  Use it as a context manager.

    `changed` is called after each update.  A poll waits `wait_s` seconds for the updates that it
    began.  One process follows into a folder; others wait for its lock.
    """

    def __init__(
        self,
        folder: Path,
        source: ReplicaSource,
        changed: Callable[[], None] = lambda: None,
        files: Files | None = None,
        wait_s: float | None = None,
    ) -> None:
        self._folder = folder
        self._source = source
        self._changed = changed
        self._files = files or Files()
        self._wait_s = wait_s
        self._stopping = threading.Event()
        self._versions: dict[str, str] = {}  # of the copies that are current
        self._updates: dict[str, Future[None]] = {}
        self._status = FollowStatus(source.address)
        self._turn = threading.Lock()  # guards the status
        self._lock: FileLock | None = None
        self._pool = ThreadPoolExecutor(UPDATES, thread_name_prefix="follow")

    def __enter__(self) -> Follower:
        check_folder(self._folder)
        self._lock = take_lock(self._folder / LOCK, wait_s=LOCK_WAIT_S)
        known = read_status(self._folder)
        self._status = replace(known or self._status, source=self._source.address)
        for name in self._status.collections:
            self._recover(name)
        self._write_status()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._pool.shutdown(cancel_futures=True)
        if self._lock is not None:
            self._lock.release()

    def poll(self) -> None:
        """Look for new generations, and fetch them.

        Updates that last longer go on.  Raises SourceUnavailable if the source or one of its collections cannot be
        read; the copies stay.
        """
        try:
            versions = self._source.versions()
        except Exception as error:  # any error of a foreign store: the copies are served
            self._set(error=str(error))
            raise SourceUnavailable(str(error)) from error
        now = time.time()
        versions, problem = _followed(versions)
        self._set(reached_at=now, error=f"{self._source.address}: {problem}" if problem else "")
        for name, version in versions.items():
            if self._versions.get(name) == version and (self._folder / name / MANIFEST).is_file():
                self._set_copy(name, CopyStatus(now))
            elif name not in self._updates or self._updates[name].done():
                self._updates[name] = self._pool.submit(self._update, name, version, now)
        if versions:
            for name in set(self._status.collections) - set(versions):
                self._drop(name)
        wait(self._updates.values(), self._wait_s)
        self._write_status()
        failures = [copy.error for copy in self._status.collections.values() if copy.error]
        if self._status.error or failures:
            raise SourceUnavailable("; ".join(filter(None, [self._status.error, *failures])))

    def _recover(self, name: str) -> None:
        """Finish what a killed process began; a damaged copy does not stop the others."""
        try:
            self._replica(name).recover()
        except Exception as error:  # any error: the next update meets it again
            self._set_copy(name, replace(self._status.collections[name], error=str(error)))

    def _update(self, name: str, version: str, began: float) -> None:
        """Fetch a generation; `began` is a time at which it was the newest one."""
        try:
            if name not in self._status.collections:
                self._set_copy(name, CopyStatus())
                self._write_status()
            has_changed = self._replica(name).update()
        except Exception as error:  # any error: `poll` tells it, and the other collections are followed
            copy = self._status.collections.get(name, CopyStatus())
            self._set_copy(name, replace(copy, error=str(error)))
        else:
            self._versions[name] = version
            self._set_copy(name, CopyStatus(began))
            if has_changed:
                self._changed()

    def _replica(self, name: str) -> Replica:
        return Replica(self._folder / name, self._source, files=self._files, stopping=self._stopping.is_set)

    def _drop(self, name: str) -> None:
        """Remove the copy of a collection that the source no longer has."""
        if name in self._updates and not self._updates[name].done():
            return
        self._replica(name).remove()
        with self._turn:
            copies = {other: copy for other, copy in self._status.collections.items() if other != name}
            self._status = replace(self._status, collections=copies)
            self._versions.pop(name, None)
        self._changed()

    def _set(self, *, reached_at: float | None = None, error: str) -> None:
        with self._turn:
            reached = self._status.reached_at if reached_at is None else reached_at
            self._status = replace(self._status, reached_at=reached, error=error)
        self._write_status()

    def _set_copy(self, name: str, copy: CopyStatus) -> None:
        with self._turn:
            self._status = replace(self._status, collections={**self._status.collections, name: copy})

    def _write_status(self) -> None:
        """Replace the file of the state; it need not survive a power cut."""
        with self._turn, suppress(OSError):
            temporary = self._folder / f"{STATUS}.new"
            temporary.write_text(json.dumps(asdict(self._status)), encoding="utf-8")
            temporary.replace(self._folder / STATUS)


def _followed(versions: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Return the collections that are followed, and why others are not."""
    wrong = sorted(name for name in versions if not _is_name(name))
    fine = {name: version for name, version in sorted(versions.items()) if _is_name(name)}
    if wrong:
        return fine, f"{wrong[0]!r} cannot be the name of a collection; rename it there"
    if len(fine) > MAX_COLLECTIONS:
        return dict(list(fine.items())[:MAX_COLLECTIONS]), f"holds more than {MAX_COLLECTIONS:,} collections"
    return fine, "" if fine else "holds no collection"


def _is_name(name: str) -> bool:
    """Check a name, which the source chose, before it becomes that of a folder."""
    return name.isprintable() and "/" not in name and not name.startswith(".") and name != ""


def check_folder(folder: Path) -> None:
    """Raise SettingsError for a folder with collections that no follower made."""
    if (folder / STATUS).exists():
        return
    own = [path.name for path in folder.iterdir() if (path / MANIFEST).is_file()]
    if own or (folder / MANIFEST).is_file():
        raise SettingsError(f"{folder}: holds collections already; give a new folder for the copies to follow")
    (folder / STATUS).write_text("{}", encoding="utf-8")
