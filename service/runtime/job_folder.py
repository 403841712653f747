"""The jobs of a collection on disk, which survive their process: `jobs/`.

    jobs/
    ├── 3fa9…/          the unfinished jobs of one process, which keeps a lock on the folder
    │   ├── 07c2….job   an accepted change
    │   ├── 07c2….1     a mark: a process has begun to apply it, for the first time
    │   └── 07c2…/      the files of an upload, by number
    └── finished        the results of the newest jobs

A job is accepted as soon as its `.job` file is durable.  Its result is stored before that file is removed, so a job
whose process dies is applied once more, or has its result.  The kernel drops the lock of a dead process: the next
process takes its folder over.  A folder of files without a `.job` file is an upload that broke off.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias

import orjson

from retrieval.errors import CorruptCollection, StorageError
from retrieval.util.files import (
    Files,
    PrivateFiles,
    is_named,
    locked,
    remove_tree,
    storage_errors,
    try_lock,
    try_share_lock,
)
from retrieval.util.temporaries import replace_atomically, sweep
from service.config.upload_settings import JobSettings
from service.observability.logs import LOGGER

JOBS = "jobs"
FINISHED = "finished"
FINISHED_LOCK = "finished.lock"
SUFFIX = ".job"
FINISHED_BYTES = 8 << 20  # of the results that are kept
WAIT_S = 5.0

Record: TypeAlias = dict[str, Any]  # JSON: a job as it was accepted, or its result, with its `id`


@dataclass(frozen=True, slots=True)
class UnfinishedJob:
    """A job that a dead process has left; `error` says why its record cannot be read."""

    id: str
    record: Record
    attempts: int = 0  # processes that began to apply it
    error: str = ""


class JobFolder:
    """The jobs of one collection, for one process.  Thread-safe."""

    def __init__(self, collection: Path, settings: JobSettings, files: Files | None = None) -> None:
        self.path = collection / JOBS
        self.collection = collection
        self._settings = settings
        self._files = files or PrivateFiles()
        self._locks: dict[Path, int] = {}  # open folders of jobs: the own one and those taken over
        self._own: Path | None = None
        self._homes: dict[str, Path] = {}  # the folder of each unfinished job
        self._finished: dict[str, Record] = {}
        self._stamp: tuple[int, int] | None = None
        self._turn = Lock()

    def accept(self, job_id: str, record: Record, *, has_files: bool = False) -> None:
        """Make a job durable, with the files of `new_files`.  Raises StorageError."""
        own = self._own_folder()
        with self._turn:
            home = self._homes.get(job_id) if has_files else own
            if home is None:
                raise StorageError("has no files of this upload any more; send it again", path=own / job_id)
            self._homes[job_id] = home
            try:
                if has_files:
                    self._files.sync_directory(home / job_id)
                replace_atomically(home / f"{job_id}{SUFFIX}", sealed({**record, "id": job_id}), self._files)
            except StorageError:
                self.discard(job_id)
                raise

    def discard_unaccepted(self, job_id: str) -> None:
        """Remove the files of an upload that was not accepted."""
        with self._turn:
            home = self._homes.get(job_id)
            if home is not None and not (home / f"{job_id}{SUFFIX}").exists():
                self.discard(job_id)

    def begin(self, job_id: str) -> None:
        """Mark that a process begins to apply a job, which may end the process each time.

        Raises StorageError for a job that is gone with its collection.
        """
        if (home := self._homes.get(job_id)) is None:
            raise StorageError("has no job any more that was accepted; the collection was dropped", path=self.path)
        attempt = 1 + len(_marks(home, job_id))
        with suppress(StorageError):
            os.close(self._files.create(home / f"{job_id}.{attempt}"))

    def new_files(self, job_id: str) -> Path:
        """Make the folder for the files of a job that is not accepted yet."""
        home = self._own_folder()
        folder = home / job_id
        self._files.make_directory(folder)
        self._homes[job_id] = home
        return folder

    def files_of(self, job_id: str) -> Path:
        """Return the folder of a job's files."""
        return self._homes[job_id] / job_id

    def discard(self, job_id: str) -> None:
        """Remove all that there is of a job that is not accepted, or is finished."""
        if (home := self._homes.pop(job_id, None)) is None:
            return
        with suppress(StorageError):  # the next process removes it
            self._files.unlink(home / f"{job_id}{SUFFIX}")
            for mark in _marks(home, job_id):
                self._files.unlink(mark)
            if (home / job_id).exists():
                remove_tree(self._files, home / job_id)
        if home != self._own and home not in self._homes.values():
            self._leave(home)

    def finish(self, results: Sequence[Record]) -> None:
        """Store the results of jobs, then remove what was accepted.  Raises StorageError."""
        with locked(self._lock_path(), wait_s=WAIT_S), self._turn:
            known = self._read_finished()
            for result in results:
                known.pop(result["id"], None)
                known[result["id"]] = result
            content = sealed(list(self._kept(list(known.values()))))
            replace_atomically(self.path / FINISHED, content, self._files)
        for result in results:
            self.discard(result["id"])

    def update(self, job_id: str, **values: Any) -> None:
        """Change values of a stored result, if it is still remembered."""
        with locked(self._lock_path(), wait_s=WAIT_S), self._turn:
            known = self._read_finished()
            if job_id in known:
                known[job_id] = {**known[job_id], **values}
                replace_atomically(self.path / FINISHED, sealed(list(known.values())), self._files)

    def finished(self) -> dict[str, Record]:
        """Return the results of the newest jobs by id, the oldest first."""
        with self._turn:
            return dict(self._read_finished())

    def accepted(self) -> dict[str, Record]:
        """Return the unfinished jobs of all processes by id."""
        found = {path.stem: _read_job(path) for path in self.path.glob(f"*/*{SUFFIX}")}
        return {id_: job.record for id_, job in found.items() if not job.error}

    def take_over(self) -> list[UnfinishedJob]:
        """Return the jobs of dead processes in their order, and remove their leftovers."""
        sweep(self.path)
        found = [job for folder in self._abandoned() for job in self._unfinished(folder)]
        return sorted(found, key=lambda job: job.record.get("number", 0))

    def close(self) -> None:
        """Give the folders back; the next process takes over the jobs in them."""
        for folder in list(self._locks):
            self._leave(folder)
        self._own = None

    def _own_folder(self) -> Path:
        """Return the folder of this process, made and locked when it is first needed."""
        with self._turn:
            if self._own is not None:
                if is_named(self._locks[self._own], self._own):
                    return self._own
                os.close(self._locks.pop(self._own))  # it went with its collection
            self._make_parent()
            while True:
                folder = self.path / secrets.token_hex(8)
                self._files.make_directory(folder)
                with suppress(FileNotFoundError):  # another process took it for an abandoned one
                    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                    # never wait here: `take_over` may have the lock, and wait for `_turn`
                    if try_share_lock(descriptor) and is_named(descriptor, folder):
                        self._own, self._locks[folder] = folder, descriptor
                        self._files.sync_directory(self.path)
                        return folder
                    os.close(descriptor)

    def _make_parent(self) -> None:
        if not self.path.exists():
            self._files.make_directory(self.path)
            self._files.sync_directory(self.collection)

    def _lock_path(self) -> Path:
        self._make_parent()
        return self.path / FINISHED_LOCK

    def _abandoned(self) -> Iterator[Path]:
        """Take the locks of the folders that dead processes have left."""
        with suppress(FileNotFoundError, NotADirectoryError):
            for folder in sorted(each for each in self.path.iterdir() if each.is_dir() and each not in self._locks):
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                if try_lock(descriptor, folder) and is_named(descriptor, folder):
                    self._locks[folder] = descriptor
                    yield folder
                else:
                    os.close(descriptor)

    def _unfinished(self, folder: Path) -> list[UnfinishedJob]:
        """Read the jobs of a folder that was taken over; remove all else in it."""
        finished, jobs = self.finished(), []
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            if path.stem not in finished:
                jobs.append(_read_job(path))
                self._homes[path.stem] = folder
        kept = {job.id for job in jobs}
        for path in sorted(folder.iterdir()):
            if path.name.partition(".")[0] not in kept:
                remove_tree(self._files, path)
        if not jobs:
            self._leave(folder)
        return jobs

    def _leave(self, folder: Path) -> None:
        """Give up a folder; remove it if it is empty."""
        with suppress(StorageError):  # it has jobs, or is gone with its collection
            self._files.remove_directory(folder)
        if (descriptor := self._locks.pop(folder, None)) is not None:
            os.close(descriptor)

    def _read_finished(self) -> dict[str, Record]:
        """Return the results, read again if another process has stored some."""
        path = self.path / FINISHED
        try:
            status = path.stat()
            if self._stamp != (status.st_mtime_ns, status.st_ino):
                records = unsealed(path.read_bytes(), path)
                self._finished = {record["id"]: record for record in records}
                self._stamp = status.st_mtime_ns, status.st_ino
        except (FileNotFoundError, NotADirectoryError):
            self._finished = {}
        except CorruptCollection as error:  # the changes themselves are in the collection
            logging.getLogger(LOGGER).error("results of jobs are lost", extra={"fields": {"error": str(error)}})
            self._finished, self._stamp = {}, (status.st_mtime_ns, status.st_ino)
        return self._finished

    def _kept(self, results: Sequence[Record]) -> Sequence[Record]:
        """Return the results within the bounds of number, age and bytes: the newest."""
        oldest = (datetime.now(UTC) - timedelta(days=self._settings.days)).isoformat()
        kept, size = 0, 0
        for result in reversed(results):
            size += len(orjson.dumps(result))
            too_many = kept >= self._settings.kept or size > FINISHED_BYTES
            if kept and (too_many or result["finished"] < oldest):
                break
            kept += 1
        return results[len(results) - kept :]


def sealed(value: object) -> bytes:
    """Return JSON after its digest."""
    body = orjson.dumps(value)
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def unsealed(data: bytes, path: Path) -> Any:
    """Return the value of `sealed`.  Raises CorruptCollection."""
    digest, _, body = data.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise CorruptCollection("is damaged: its digest differs", path=path)
    return orjson.loads(body)


class JobFolders:
    """The job folders of all collections, for one process.  Thread-safe."""

    def __init__(self, settings: JobSettings) -> None:
        self._settings = settings
        self._folders: dict[Path, JobFolder] = {}
        self._turn = Lock()

    def of(self, collection: Path) -> JobFolder:
        """Return the job folder of a collection."""
        with self._turn:
            if collection not in self._folders:
                self._folders[collection] = JobFolder(collection, self._settings)
            return self._folders[collection]

    def forget(self, collection: Path) -> None:
        """Give up the folder of a collection that was dropped."""
        with self._turn:
            dropped = self._folders.pop(collection, None)
        if dropped is not None:
            dropped.close()

    def close(self) -> None:
        """Give all folders back."""
        for collection in list(self._folders):
            self.forget(collection)


def _marks(home: Path, job_id: str) -> list[Path]:
    return [path for path in home.glob(f"{job_id}.*") if path.suffix[1:].isdigit()]


def _read_job(path: Path) -> UnfinishedJob:
    attempts = len(_marks(path.parent, path.stem))
    try:
        with storage_errors(path):
            return UnfinishedJob(path.stem, unsealed(path.read_bytes(), path), attempts)
    except (CorruptCollection, StorageError) as error:
        return UnfinishedJob(path.stem, {}, attempts, f"the stored change cannot be read: {error}")
