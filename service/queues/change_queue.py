"""The queue of changes: one thread writes, and jobs share generations."""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from sys import getsizeof

from indexer.building.document_changes import ChangeReport, CollectionChange, apply_changes
from indexer.building.token_encoding import TokenEncoders
from retrieval.errors import AttendexError, CollectionNotFound, JobNotFound, Overloaded
from retrieval.index.collection.document_store import document_bytes
from service.http.problems import Problem, problem_of
from service.observability.logs import LOGGER
from service.runtime.open_collections import OpenCollections
from service.runtime.process import lower_priority

KEPT_JOBS = 10_000
ENDING_S = 0.2  # to wait for a change that is nearly done
REST_S = 1.0  # between generations under steady change: opening a generation slows searches
FEW_DOCUMENTS = 64  # up to so many are encoded on one core, beside searches; more take all cores
SHARED_DOCUMENTS = 2_000  # that one generation takes from waiting jobs


@dataclass(slots=True, eq=False)
class ChangeJob:
    """A change and its progress.  Only the writing thread modifies it."""

    collection: str
    change: CollectionChange | None  # None after it was applied: the documents are not kept
    adds: frozenset[str] = frozenset()  # ids of its documents
    size_bytes: int = 0  # of the memory that the change takes
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    status: str = "queued"
    report: ChangeReport = field(default_factory=ChangeReport)
    problem: Problem | None = None  # not the exception: its traceback would keep the documents
    failures: Mapping[str, Problem] = field(default_factory=dict)  # of single documents, by id
    done: Future[None] = field(default_factory=Future)

    def to_json(self) -> dict[str, object]:
        """Return the job in the form of the HTTP answer."""
        return {
            "id": self.id,
            "collection": self.collection,
            "status": self.status,
            "generation": self.report.generation or None,
            "added": self.report.added,
            "unchanged": self.report.unchanged,
            "updated": self.report.updated,
            "deleted": self.report.deleted,
            "failed": self.report.failed,
            "failures": [
                {"id": id_, "code": problem.code, "error": problem.detail} for id_, problem in self.failures.items()
            ],
            "code": self.problem.code if self.problem else "",
            "error": self.problem.detail if self.problem else "",
        }


class ChangeQueue:
    """The queue of changes; it remembers the last jobs until the process ends."""

    def __init__(self, collections: OpenCollections, queue_length: int, max_bytes: int) -> None:
        self._collections = collections
        self._queue_length = queue_length
        self._max_bytes = max_bytes
        self._jobs: OrderedDict[str, ChangeJob] = OrderedDict()
        self._waiting: deque[ChangeJob] = deque()
        self._running: Sequence[ChangeJob] = ()
        self._token_encoders = TokenEncoders()
        self._woken = threading.Condition()
        self._closes_at: float | None = None  # by the monotonic clock
        self._thread = threading.Thread(target=self._work, name="attendex-writer")
        self._thread.start()

    def close(self, grace_s: float = 0.0) -> None:
        """Apply the waiting changes within `grace_s`, fail the others, end the thread."""
        with self._woken:
            self._closes_at = time.monotonic() + grace_s
            self._woken.notify()
        self._thread.join(grace_s + ENDING_S)
        if self._thread.is_alive():
            documents = sum(map(_size, self._running))
            logging.getLogger(LOGGER).error(
                "a running change was not finished before the end of the process",
                extra={"fields": {"documents": documents}},
            )

    def forget(self, collection: str) -> None:
        """Fail the waiting changes of a dropped collection."""
        with self._woken:
            dropped = [job for job in self._waiting if job.collection == collection]
            self._waiting = deque(job for job in self._waiting if job.collection != collection)
        _fail(dropped, CollectionNotFound(f"{collection!r} was dropped before this change; create it again"))

    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def is_idle(self) -> bool:
        """Whether every change is applied."""
        with self._woken:
            return not self._running and not self._waiting

    def submit(self, collection: str, change: CollectionChange) -> ChangeJob:
        """Queue a change.

        Raises CollectionNotFound, or Overloaded if too many changes, or changes of too many bytes, are unfinished.
        """
        self._collections.path(collection)
        size = memory_bytes(change)
        with self._woken:
            self._check_capacity(size)
            job = ChangeJob(collection, change, frozenset(document.id for document in change.upserts), size)
            self._jobs[job.id] = job
            while len(self._jobs) > KEPT_JOBS:
                self._jobs.popitem(last=False)
            self._waiting.append(job)
            self._woken.notify()
        return job

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
        return any(document_id in job.adds for job in unfinished if job.collection == collection)

    async def finished(self, job: ChangeJob) -> None:
        """Wait until the job is done or has failed.  Done: its change is searchable."""
        await asyncio.shield(asyncio.wrap_future(job.done))

    def job(self, collection: str, job_id: str) -> ChangeJob:
        """Return a job by its id.  Raises JobNotFound."""
        job = self._jobs.get(job_id)
        if job is None or job.collection != collection:
            raise JobNotFound(f"no job {job_id!r} of {collection!r}; the service forgets jobs when it restarts")
        return job

    def _work(self) -> None:
        lower_priority()
        while jobs := self._next():
            self._run(jobs)
            self._running = ()
            _finish(jobs)
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
                self._fail_waiting()
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

    def _fail_waiting(self) -> None:
        fields = {"changes": len(self._waiting), "documents": sum(map(_size, self._waiting))}
        logging.getLogger(LOGGER).error("the grace period is over: waiting changes are lost", extra={"fields": fields})
        _fail(self._waiting, Overloaded("the service ended before it applied the change; send the change again"))
        self._waiting.clear()

    def _run(self, jobs: Sequence[ChangeJob]) -> None:
        for job in jobs:
            job.status = "running"
        name = jobs[0].collection
        reports: Sequence[ChangeReport | Exception]
        try:
            with self._collections.lease(name) as searcher:
                path, encoder, sparse_encoder = searcher.reader.path, searcher.encoder, searcher.sparse_encoder
            few = sum(map(_size, jobs)) <= FEW_DOCUMENTS
            encoder = encoder.background if few else encoder.bulk
            changes = [job.change for job in jobs if job.change]
            reports = apply_changes(
                path, encoder, changes, sparse_encoder=sparse_encoder, token_encoders=self._token_encoders
            )
        except Exception as error:
            _log_failure(error)
            reports = [error] * len(jobs)
        self._serve_new_generation()
        for job, report in zip(jobs, reports, strict=True):
            if isinstance(report, Exception):
                job.problem, job.status = problem_of(report), "failed"
            else:
                job.failures = {each.id: problem_of(each.error) for each in report.failures}
                job.report, job.status = replace(report, failures=()), "done"

    def _serve_new_generation(self) -> None:
        """Serve the committed generation.  If that fails, the next refresh tries again."""
        try:
            self._collections.publish()
        except OSError as error:
            logging.getLogger(LOGGER).error("collections cannot be listed", extra={"fields": {"error": str(error)}})


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


def _log_failure(error: Exception) -> None:
    """Log what the operator must see: errors of the service, not of the caller."""
    if problem_of(error).status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        fields = {"error": f"{type(error).__name__}: {error}"}
        expected = isinstance(error, AttendexError)
        logging.getLogger(LOGGER).error(
            "a change failed", exc_info=None if expected else error, extra={"fields": fields}
        )


def _fail(jobs: Iterable[ChangeJob], error: Exception) -> None:
    jobs = list(jobs)
    for job in jobs:
        job.problem, job.status = problem_of(error), "failed"
    _finish(jobs)


def _finish(jobs: Iterable[ChangeJob]) -> None:
    """Drop the documents and wake the callers that wait."""
    for job in jobs:
        job.change, job.adds = None, frozenset()
        job.done.set_result(None)


def _can_share(job: ChangeJob, first: ChangeJob) -> bool:
    """Check whether a job can share a generation; a filter must see earlier jobs."""
    return job.collection == first.collection and not (job.change and job.change.filter)


def _size(job: ChangeJob) -> int:
    return len(job.change.upserts) + len(job.change.patches) if job.change else 0
