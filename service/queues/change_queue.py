"""The queue of changes: one thread writes, and jobs share generations.

A change is durable before it is accepted.  After a restart, the next process applies the changes that were not.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from sys import getsizeof

from indexer.building.document_changes import ChangeReport, CollectionChange, apply_changes
from indexer.building.token_encoding import TokenEncoders
from indexer.maintenance.change_settings import SettingsChange, change_settings
from retrieval.errors import AttendexError, CollectionNotFound, JobNotFound, Overloaded
from retrieval.index.collection.document_store import document_bytes
from retrieval.index.collection.standing_queries import Webhook
from service.http.problems import Problem, problem_of
from service.observability.logs import LOGGER
from service.queues.jobs import ChangeJob, Reindex, Upload, Work, job_of, now, shown_result
from service.queues.upload_runner import UploadRunner
from service.runtime.job_folder import JobFolders, UnfinishedJob
from service.runtime.open_collections import OpenCollections
from service.runtime.process import lower_priority

KEPT_JOBS = 1_000  # whose steps are known
MAX_ATTEMPTS = 5  # of processes to apply one change
ENDING_S = 0.2  # to wait for a change that is nearly done
REST_S = 1.0  # between generations under steady change: opening a generation slows searches
FEW_DOCUMENTS = 64  # up to so many are encoded on one core, beside searches; more take all cores
SHARED_DOCUMENTS = 2_000  # that one generation takes from waiting jobs


class ChangeQueue:
    """The queue of changes.  Accepted changes survive the process (job_folder.py)."""

    def __init__(
        self, collections: OpenCollections, folders: JobFolders, queue_length: int, max_bytes: int, kept_bytes: int
    ) -> None:
        self._collections = collections
        self._folders = folders
        self._queue_length = queue_length
        self._max_bytes = max_bytes
        self._uploads = UploadRunner(collections, folders, kept_bytes)
        self._jobs: OrderedDict[str, ChangeJob] = OrderedDict()
        self._waiting: deque[ChangeJob] = deque()
        self._running: Sequence[ChangeJob] = ()
        self._number = 0
        self._token_encoders = TokenEncoders()
        self._accepting = threading.Lock()  # held while a change is made durable
        self._woken = threading.Condition()
        self._closes_at: float | None = None  # by the monotonic clock
        self._thread = threading.Thread(target=self._work, name="attendex-writer")
        self._thread.start()

    def close(self, grace_s: float = 0.0) -> None:
        """Apply the waiting changes within `grace_s`; leave the others for the next start."""
        with self._woken:
            self._closes_at = time.monotonic() + grace_s
            self._woken.notify()
        self._thread.join(grace_s + ENDING_S)
        if self._thread.is_alive():
            fields = {"documents": sum(map(_size, self._running))}
            message = "a running change was not finished before the end of the process; the next one goes on"
            logging.getLogger(LOGGER).error(message, extra={"fields": fields})
        else:
            self._folders.close()

    def forget(self, collection: str, path: Path) -> None:
        """Fail the waiting changes of a dropped collection."""
        with self._woken:
            dropped = [job for job in self._waiting if job.path == path]
            self._waiting = deque(job for job in self._waiting if job.path != path)
        self._folders.forget(path)
        error = CollectionNotFound(f"{collection!r} was dropped before this change; create it again")
        for job in dropped:
            job.problem, job.status = problem_of(error), "failed"
        _end(dropped)

    def upload_bytes(self) -> int:
        """Return the disk space of the uploads that are not applied yet."""
        unfinished = [job.work for job in (*self._running, *list(self._waiting))]
        return sum(file.size_bytes for work in unfinished if isinstance(work, Upload) for file in work.files)

    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def is_idle(self) -> bool:
        """Whether every change is applied."""
        with self._woken:
            return not self._running and not self._waiting

    def submit(
        self,
        collection: str,
        work: Work,
        webhook: Webhook | None = None,
        job_id: str | None = None,
    ) -> ChangeJob:
        """Make a change durable and queue it.  Blocks.

        `job_id` is that of the folder with the files of an upload.  Raises CollectionNotFound, StorageError, or
        Overloaded if too many changes, or changes of too many bytes, are unfinished.
        """
        path = self._collections.path(collection)
        size = memory_bytes(work) if isinstance(work, CollectionChange) else 0
        with self._accepting:
            with self._woken:
                self._check_capacity(size)
                self._number = max(self._number + 1, time.time_ns())
            job = ChangeJob(collection, path, self._number, work, size, webhook=webhook)
            job.id = job_id or job.id
            self._folders.of(path).accept(job.id, job.accepted_record(), has_files=isinstance(work, Upload))
            self._enqueue(job)
        return job

    def take_over(self) -> None:
        """Queue the changes that dead processes have accepted and not applied."""
        for name in self._collections.names():
            with suppress(CollectionNotFound):
                path = self._collections.path(name)
                for left in self._folders.of(path).take_over():
                    self._take(name, path, left)

    def _take(self, name: str, path: Path, left: UnfinishedJob) -> None:
        """Queue a job of a dead process, or store the reason why it cannot go on."""
        error = left.error
        if left.attempts >= MAX_ATTEMPTS:
            error = f"{left.attempts} processes ended while they applied this change; send it again in smaller parts"
        job = ChangeJob(name, path, 0, None, id=left.id)
        try:
            job = job_of(left.id, left.record, path, name) if left.record else job
        except (KeyError, TypeError, ValueError) as reason:
            error = error or f"the stored change is of another version ({type(reason).__name__}: {reason})"
        job.size_bytes = memory_bytes(job.change)
        fields = {"collection": name, "job": job.id, **({"error": error} if error else {})}
        logging.getLogger(LOGGER).info("a change of a process before goes on", extra={"fields": fields})
        if error:
            job.problem, job.status = Problem(500, "job_interrupted", error), "failed"
            self._finish([job])
        self._enqueue(job, finished=bool(error))

    def _enqueue(self, job: ChangeJob, *, finished: bool = False) -> None:
        with self._woken:
            self._jobs[job.id] = job
            while len(self._jobs) > KEPT_JOBS:
                self._jobs.popitem(last=False)
            if not finished:
                self._waiting.append(job)
                self._woken.notify()

    def _check_capacity(self, size_bytes: int) -> None:
        unfinished = sum(job.size_bytes for job in (*self._running, *self._waiting))
        if len(self._waiting) >= self._queue_length or (unfinished and unfinished + size_bytes > self._max_bytes):
            raise Overloaded(
                f"{len(self._waiting)} changes are waiting, and all unfinished ones take {unfinished:,} bytes of "
                "memory; try again in a few seconds",
                retry_after_s=2,
            )

    def adds_document(self, collection: str, document_id: str) -> bool:
        """Check whether a change that is not searchable yet adds the document."""
        with self._woken:
            unfinished = (*self._running, *self._waiting)
        path = self._collections.path(collection)
        return any(
            document.id == document_id for job in unfinished if job.path == path for document in job.change.upserts
        )

    async def finished(self, job: ChangeJob) -> None:
        """Wait until the job is done or has failed.  Done: its change is searchable."""
        await asyncio.shield(asyncio.wrap_future(job.done))

    def running(self, collection: str, job_id: str) -> ChangeJob | None:
        """Return a job of this process by its id, while its steps are known."""
        job = self._jobs.get(job_id)
        return job if job and job.path == self._collections.path(collection) else None

    def job(self, collection: str, job_id: str) -> dict[str, object]:
        """Return a job in the form of the HTTP answer.  Raises JobNotFound."""
        folder = self._folders.of(self._collections.path(collection))
        job = self.running(collection, job_id)
        if (job is None or job.finished) and (result := folder.finished().get(job_id)):
            return shown_result(result)  # with the state of its webhook
        if job is not None:
            return job.to_json()
        if waiting := folder.accepted().get(job_id):
            return job_of(job_id, waiting, folder.collection, collection).to_json()
        raise JobNotFound(f"no job {job_id!r} of {collection!r}; GET …/jobs lists those that are remembered")

    def jobs(self, collection: str) -> list[dict[str, object]]:
        """Return the jobs that are remembered, the newest first."""
        path = self._collections.path(collection)
        folder = self._folders.of(path)
        found = {id_: job_of(id_, record, path, collection).to_json() for id_, record in folder.accepted().items()}
        found |= {job.id: job.to_json() for job in list(self._jobs.values()) if job.path == path}
        found |= {id_: shown_result(result) for id_, result in folder.finished().items()}
        return sorted(found.values(), key=lambda job: str(job["accepted"]), reverse=True)

    def _work(self) -> None:
        lower_priority()
        while jobs := self._next():
            self._run(jobs)
            self._running = ()
            self._finish(jobs)
            self._rest(jobs[0])

    def _rest(self, last: ChangeJob) -> None:
        """Pause if the next job is for the same collection: searches get the cores."""
        with self._woken:
            if self._waiting and _can_share(self._waiting[0], last):
                self._woken.wait_for(lambda: self._closes_at is not None, REST_S)

    def _next(self) -> list[ChangeJob]:
        """Return the oldest job and those that share its generation; none if closed."""
        with self._woken:
            while not self._waiting:
                if self._closes_at is not None:
                    return []
                self._woken.wait()
            if self._closes_at is not None and time.monotonic() >= self._closes_at:
                self._leave_waiting()
                return []
            first = self._waiting.popleft()
            jobs, documents = [first], _size(first)
            while self._waiting and _can_share(self._waiting[0], first):
                documents += _size(self._waiting[0])
                if documents > SHARED_DOCUMENTS:
                    break
                jobs.append(self._waiting.popleft())
            self._running = jobs
            return jobs

    def _leave_waiting(self) -> None:
        """Wake the callers of the changes that wait for the next process."""
        fields = {"changes": len(self._waiting), "documents": sum(map(_size, self._waiting))}
        message = "the grace period is over: waiting changes are applied at the next start"
        logging.getLogger(LOGGER).warning(message, extra={"fields": fields})
        for job in self._waiting:
            job.done.set_result(None)
        self._waiting.clear()

    def _run(self, jobs: Sequence[ChangeJob]) -> None:
        """Apply jobs and serve the result.  Whatever fails, the thread goes on."""
        for job in jobs:
            job.status = "running"
        try:
            for job in jobs:
                self._folders.of(job.path).begin(job.id)
            if isinstance(jobs[0].work, Upload):
                self._uploads.run(jobs[0], jobs[0].work, self._token_encoders)
            elif isinstance(jobs[0].work, Reindex):
                _reindex(jobs[0], jobs[0].work)
            else:
                self._apply(jobs)
        except Exception as error:
            _log_failure(error)
            for job in jobs:
                job.problem = problem_of(error)
        self._serve_new_generation()
        for job in jobs:  # their changes are searchable now
            job.status = "failed" if job.problem else "done"

    def _apply(self, jobs: Sequence[ChangeJob]) -> None:
        with self._collections.lease(jobs[0].collection) as searcher:
            path, encoder, sparse_encoder = searcher.reader.path, searcher.encoder, searcher.sparse_encoder
        few = sum(map(_size, jobs)) <= FEW_DOCUMENTS
        encoder = encoder.background if few else encoder.bulk
        changes = [job.change for job in jobs]
        reports = apply_changes(
            path, encoder, changes, sparse_encoder=sparse_encoder, token_encoders=self._token_encoders
        )
        for job, report in zip(jobs, reports, strict=True):
            if isinstance(report, Exception):
                job.problem = problem_of(report)
            else:
                job.failures = {each.id: problem_of(each.error) for each in report.failures}
                job.report = replace(report, failures=())

    def _finish(self, jobs: Sequence[ChangeJob]) -> None:
        """Store the results, then wake the callers that wait."""
        for job in jobs:
            job.finished = now()
        try:
            if jobs[0].path.exists():  # it may have been dropped
                self._folders.of(jobs[0].path).finish([job.result_record() for job in jobs])
        except Exception as error:  # after a restart, the changes are applied again: they change nothing then
            _log_failure(error)
        _end(jobs)

    def _serve_new_generation(self) -> None:
        """Serve the committed generation.  If that fails, the next refresh tries again."""
        try:
            self._collections.publish()
        except Exception as error:
            fields = {"error": f"{type(error).__name__}: {error}"}
            logging.getLogger(LOGGER).error("a new generation is not served yet", extra={"fields": fields})


def memory_bytes(change: CollectionChange) -> int:
    """Estimate the memory that a change takes while it waits."""
    patches = sum(getsizeof(patch) + _json_bytes(patch.changes) for patch in change.patches)
    return sum(map(getsizeof, change.deletes)) + sum(map(document_bytes, change.upserts)) + patches


def _json_bytes(value: object) -> int:
    """Estimate the memory of a value of JSON."""
    size = getsizeof(value)
    if isinstance(value, Mapping):
        return size + sum(_json_bytes(name) + _json_bytes(each) for name, each in value.items())
    return size + sum(map(_json_bytes, value)) if isinstance(value, list) else size


def _reindex(job: ChangeJob, work: Reindex) -> None:
    generation = change_settings(job.path, SettingsChange(work.lexical), cause="reindex")
    job.report = ChangeReport(generation=generation)
    job.events.add("committed", {"generation": generation})


def _log_failure(error: Exception) -> None:
    """Log what the operator must see: errors of the service, not of the caller."""
    if problem_of(error).status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        fields = {"error": f"{type(error).__name__}: {error}"}
        expected = isinstance(error, AttendexError)
        logging.getLogger(LOGGER).error(
            "a change failed", exc_info=None if expected else error, extra={"fields": fields}
        )


def _end(jobs: Iterable[ChangeJob]) -> None:
    """Drop the documents and wake the callers that wait."""
    for job in jobs:
        job.work = None
        job.events.add(job.status, job.to_json())
        job.done.set_result(None)


def _can_share(job: ChangeJob, first: ChangeJob) -> bool:
    """Check whether a job can share a generation; a filter must see earlier jobs."""
    alone = job.change.filter or not all(isinstance(each.work, CollectionChange) for each in (job, first))
    return job.path == first.path and not alone


def _size(job: ChangeJob) -> int:
    return len(job.change.upserts) + len(job.change.patches)
