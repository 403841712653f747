"""Uploads of files: forms of bounded size, each of which is one job."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .answers.jobs import JobAnswer, JobsAnswer
from .answers.originals import OriginalAnswer, OriginalsAnswer
from .calls import Call, FilePart, path_of, reads, reads_nothing
from .documents import POLL_S, AsyncDocuments, Documents
from .events import Event

FORM_FILES, FORM_BYTES = 100, 100_000_000  # of one request, unless one file is larger
UNFINISHED, ENDED = ("queued", "running"), ("done", "failed")


@dataclass(frozen=True, slots=True)
class _NamedFile:
    """A file, and the name that it gets: the id of its document."""

    name: str
    path: Path


def _named(paths: Iterable[Path | str]) -> Iterator[_NamedFile]:
    """Yield files, and those of folders, with the names of their documents."""
    for given in map(Path, paths):
        if not given.is_dir():
            yield _NamedFile(given.name, given)
            continue
        for path in sorted(each for each in given.rglob("*") if each.is_file() and not each.is_symlink()):
            relative = path.relative_to(given.parent)
            if not any(part.startswith(".") for part in relative.parts[1:]):
                yield _NamedFile(relative.as_posix(), path)


def _forms(paths: Iterable[Path | str]) -> Iterator[list[_NamedFile]]:
    """Yield files in groups, each for one request."""
    group: list[_NamedFile] = []
    size = 0
    for file in _named(paths):
        size += file.path.stat().st_size
        if group and (len(group) == FORM_FILES or size > FORM_BYTES):
            yield group
            group, size = [], file.path.stat().st_size
        group.append(file)
    if group:
        yield group


def _upload(
    name: str, files: list[_NamedFile], metadata: Mapping[str, Any], keep: bool | None, opened: ExitStack
) -> Call[JobAnswer]:
    """Return the call that sends files, which stay open in `opened`."""
    streams: list[FilePart] = [(each.name, opened.enter_context(each.path.open("rb"))) for each in files]
    facts = {each.name: _facts(each.path) for each in files}
    options = {"metadata": dict(metadata), "files": facts, "keep": keep}
    return Call("POST", path_of(name, "files"), reads(JobAnswer), options, files=streams)


def _facts(path: Path) -> dict[str, str]:
    return {"modified": datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")}


def _jobs(name: str, status: str, limit: int) -> Call[JobsAnswer]:
    params = {"limit": limit, **({"status": status} if status else {})}
    return Call("GET", path_of(name, "jobs"), reads(JobsAnswer), params=params)


def _events(name: str, job_id: str, last_id: str) -> Call[None]:
    headers = {"Last-Event-ID": last_id} if last_id else {}
    return Call("GET", path_of(name, "jobs", job_id, "events"), reads_nothing, headers=headers)


def _original(name: str, document_id: str) -> Call[bytes]:
    return Call("GET", path_of(name, "documents", document_id, "original"), lambda response: response.content)


def _originals(name: str, ids: Sequence[str]) -> Call[OriginalsAnswer]:
    return Call("GET", path_of(name, "originals"), reads(OriginalsAnswer), params={"id": list(ids)})


class FileUploads(Documents):
    """The uploads of a synchronous client."""

    def upload_files(
        self,
        collection: str,
        paths: Iterable[Path | str],
        *,
        metadata: Mapping[str, Any] | None = None,
        keep: bool | None = None,
    ) -> list[JobAnswer]:
        """Add files, and the files of folders, and wait; return the jobs.

        `files` of a job tells which files could not be read.  `keep`: whether to keep the originals.
        """
        jobs = []
        for group in _forms(paths):
            with ExitStack() as opened:
                job = self._send(_upload(collection, group, metadata or {}, keep, opened))
            while job.status in UNFINISHED:
                time.sleep(POLL_S)
                job = self.job(collection, job.id)
            jobs.append(job)
        return jobs

    def jobs(self, collection: str, status: str = "", *, limit: int = 100) -> list[JobAnswer]:
        """Return the jobs that the service remembers, the newest first."""
        return self._send(_jobs(collection, status, limit)).jobs

    def job_events(self, collection: str, job_id: str) -> Iterator[Event]:
        """Yield the steps of a job as they happen; the last one is `done` or `failed`."""
        last_id = ""
        while True:
            for event in self._events(_events(collection, job_id, last_id)):
                yield event
                last_id = event.id
                if event.name in ENDED:
                    return

    def original(self, collection: str, document_id: str) -> bytes:
        """Return the file from which a document was read, if the service keeps it."""
        return self._send(_original(collection, document_id))

    def originals(self, collection: str, ids: Sequence[str]) -> list[OriginalAnswer]:
        """Return the files that are kept of some documents, at most 20."""
        return (self._send(_originals(collection, ids))).originals


class AsyncFileUploads(AsyncDocuments):
    """The uploads of a client for asyncio."""

    async def upload_files(
        self,
        collection: str,
        paths: Iterable[Path | str],
        *,
        metadata: Mapping[str, Any] | None = None,
        keep: bool | None = None,
    ) -> list[JobAnswer]:
        """Add files, and the files of folders, and wait; return the jobs.

        `files` of a job tells which files could not be read.  `keep`: whether to keep the originals.
        """
        jobs = []
        for group in _forms(paths):
            with ExitStack() as opened:
                job = await self._send(_upload(collection, group, metadata or {}, keep, opened))
            while job.status in UNFINISHED:
                await asyncio.sleep(POLL_S)
                job = await self.job(collection, job.id)
            jobs.append(job)
        return jobs

    async def jobs(self, collection: str, status: str = "", *, limit: int = 100) -> list[JobAnswer]:
        """Return the jobs that the service remembers, the newest first."""
        return (await self._send(_jobs(collection, status, limit))).jobs

    async def job_events(self, collection: str, job_id: str) -> AsyncIterator[Event]:
        """Yield the steps of a job as they happen; the last one is `done` or `failed`."""
        last_id = ""
        while True:
            async for event in self._events(_events(collection, job_id, last_id)):
                yield event
                last_id = event.id
                if event.name in ENDED:
                    return

    async def original(self, collection: str, document_id: str) -> bytes:
        """Return the file from which a document was read, if the service keeps it."""
        return await self._send(_original(collection, document_id))

    async def originals(self, collection: str, ids: Sequence[str]) -> list[OriginalAnswer]:
        """Return the files that are kept of some documents, at most 20."""
        return (await self._send(_originals(collection, ids))).originals
