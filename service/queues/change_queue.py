"""Changes of collections on their way: one thread writes, jobs that wait for the same collection share a generation."""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from indexer.building.document_changes import ChangeReport, CollectionChange, apply_changes
from retrieval.errors import AttendexError, CollectionNotFound, JobNotFound, Overloaded
from service.http.problems import problem_of
from service.observability.logs import LOGGER
from service.runtime.open_collections import OpenCollections
from service.runtime.process import lower_priority

KEPT_JOBS = 10_000
MOMENT_S = 0.2  # for what is nearly done
REST_S = 1.0  # between generations under steady change, which cost searches something each
FEW_DOCUMENTS = 64  # up to here they are encoded on one core, beside searches; more are in a hurry themselves
SHARED_DOCUMENTS = 2_000  # documents that one generation takes from waiting jobs


@dataclass(slots=True, eq=False)
class ChangeJob:
    """A change and how far it is.  Written by the writing thread only."""

    collection: str
    change: CollectionChange | None  # None once it has been applied: the documents are not kept
    adds: frozenset[str] = frozenset()  # ids of its documents
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    status: str = "queued"
    report: ChangeReport = field(default_factory=ChangeReport)
    error: Exception | None = None
    done: Future[None] = field(default_factory=Future)

    def to_json(self) -> dict[str, object]:
        """The job as callers see it."""
        problem = problem_of(self.error) if self.error else None
        return {
            "id": self.id,
            "collection": self.collection,
            "status": self.status,
            "generation": self.report.generation or None,
            "added": self.report.added,
            "unchanged": self.report.unchanged,
            "deleted": self.report.deleted,
            "code": problem.code if problem else "",
            "error": problem.detail if problem else "",
        }


class ChangeQueue:
    """The queue of changes.  Jobs are remembered for a while, and forgotten when the process ends."""

    def __init__(self, collections: OpenCollections, queue_length: int) -> None:
        self._collections = collections
        self._queue_length = queue_length
        self._jobs: OrderedDict[str, ChangeJob] = OrderedDict()
        self._waiting: deque[ChangeJob] = deque()
        self._running: Sequence[ChangeJob] = ()
        self._woken = threading.Condition()
        self._closes_at: float | None = None  # by the monotonic clock
        self._thread = threading.Thread(target=self._work, name="attendex-writer")
        self._thread.start()

    def close(self, grace_s: float = 0.0) -> None:
        """Apply what waits within `grace_s`, then end; what is not begun fails, what runs is left to itself."""
        with self._woken:
            self._closes_at = time.monotonic() + grace_s
            self._woken.notify()
        self._thread.join(grace_s + MOMENT_S)
        if self._thread.is_alive():
            documents = sum(map(_size, self._running))
            logging.getLogger(LOGGER).error("a change is given up", extra={"fields": {"documents": documents}})

    def forget(self, collection: str) -> None:
        """Let changes of a collection that was dropped fail: one that is made anew under its name is another."""
        with self._woken:
            dropped = [job for job in self._waiting if job.collection == collection]
            self._waiting = deque(job for job in self._waiting if job.collection != collection)
        _fail(dropped, CollectionNotFound(f"{collection!r} was dropped before its change was applied"))

    def waiting(self) -> int:
        """Changes that wait."""
        return len(self._waiting)

    def submit(self, collection: str, change: CollectionChange) -> ChangeJob:
        """Queue a change.  Raises CollectionNotFound, and Overloaded where too many wait."""
        self._collections.path(collection)
        with self._woken:
            if len(self._waiting) >= self._queue_length:
                raise Overloaded(
                    f"{len(self._waiting)} changes wait already; try again in a few seconds", retry_after_s=2
                )
            job = ChangeJob(collection, change, frozenset(each.id for each in change.upserts))
            self._jobs[job.id] = job
            while len(self._jobs) > KEPT_JOBS:
                self._jobs.popitem(last=False)
            self._waiting.append(job)
            self._woken.notify()
        return job

    def adds_document(self, collection: str, document_id: str) -> bool:
        """Whether a change that is not yet to be seen adds a document."""
        with self._woken:
            coming = (*self._running, *self._waiting)
        return any(document_id in job.adds for job in coming if job.collection == collection)

    async def finished(self, job: ChangeJob) -> None:
        """Wait until the job is done or has failed; then its change can be searched."""
        await asyncio.shield(asyncio.wrap_future(job.done))

    def job(self, collection: str, job_id: str) -> ChangeJob:
        """A job by its id.  Raises JobNotFound."""
        job = self._jobs.get(job_id)
        if job is None or job.collection != collection:
            raise JobNotFound(f"no job {job_id!r} of {collection!r}; jobs are forgotten when the service restarts")
        return job

    def _work(self) -> None:
        lower_priority()
        while jobs := self._next():
            self._run(jobs)
            self._running = ()
            _let_go(jobs)
            self._rest(jobs[0])

    def _rest(self, last: ChangeJob) -> None:
        """Where more of the same wait already: let searches have the machine, and more share the next generation."""
        with self._woken:
            if self._waiting and _can_share(self._waiting[0], last):
                self._woken.wait_for(lambda: self._closes_at is not None, REST_S)

    def _next(self) -> list[ChangeJob]:
        """The oldest job, and those behind it that can share its generation; none when the queue is closed."""
        with self._woken:
            while not self._waiting:
                if self._closes_at is not None:
                    return []
                self._woken.wait()
            if self._closes_at is not None and time.monotonic() >= self._closes_at:
                self._give_up()
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

    def _give_up(self) -> None:
        """There is no time left for what waits."""
        fields = {"changes": len(self._waiting), "documents": sum(map(_size, self._waiting))}
        logging.getLogger(LOGGER).error("changes are lost, for the service has to end", extra={"fields": fields})
        _fail(self._waiting, Overloaded("the service ended before the change's turn came; ask for it again"))
        self._waiting.clear()

    def _run(self, jobs: Sequence[ChangeJob]) -> None:
        for job in jobs:
            job.status = "running"
        name = jobs[0].collection
        reports: Sequence[ChangeReport | Exception]
        try:
            with self._collections.lease(name) as searcher:
                path, encoder = searcher.reader.path, searcher.encoder
            if sum(map(_size, jobs)) <= FEW_DOCUMENTS:
                encoder = encoder.background
            reports = apply_changes(path, encoder, [job.change for job in jobs if job.change])
        except Exception as error:
            if not isinstance(error, AttendexError):
                logging.getLogger(LOGGER).exception("a change failed")
            reports = [error] * len(jobs)
        self._show()
        for job, report in zip(jobs, reports, strict=True):
            if isinstance(report, Exception):
                job.error, job.status = report, "failed"
            else:
                job.report, job.status = report, "done"

    def _show(self) -> None:
        """Serve what was committed, or leave it to the next look at the disk."""
        try:
            self._collections.refresh()
        except OSError as error:
            logging.getLogger(LOGGER).error("collections cannot be listed", extra={"fields": {"error": str(error)}})


def _fail(jobs: Iterable[ChangeJob], error: Exception) -> None:
    jobs = list(jobs)
    for job in jobs:
        job.error, job.status = error, "failed"
    _let_go(jobs)


def _let_go(jobs: Iterable[ChangeJob]) -> None:
    """Tell those who wait; the documents are not kept."""
    for job in jobs:
        job.change, job.adds = None, frozenset()
        job.done.set_result(None)


def _can_share(job: ChangeJob, first: ChangeJob) -> bool:
    """A filter must see what the jobs before it did, committed."""
    return job.collection == first.collection and not (job.change and job.change.filter)


def _size(job: ChangeJob) -> int:
    return len(job.change.upserts) if job.change else 0
