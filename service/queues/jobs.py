"""Jobs: changes that were accepted, their progress and their results."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias

from indexer.building.document_changes import ChangeReport, CollectionChange
from indexer.building.document_patches import DocumentPatch
from indexer.building.uploads import FileResult, UploadedFile
from indexer.readers.sandbox.wire import pack_document, unpack_document
from retrieval.index.collection.standing_queries import Webhook
from service.http.problems import Problem
from service.runtime.job_folder import Record

MAX_EVENTS = 4_000  # that a job keeps: the newest


@dataclass(frozen=True, slots=True)
class Upload:
    """Files to add; `keep` stores their originals.

    `refused` has the names of files that were not stored, and the reasons.
    """

    files: tuple[UploadedFile, ...]
    keep: bool
    refused: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Reindex:
    """Lexical settings to change, by name."""

    lexical: Mapping[str, Any]


Work: TypeAlias = CollectionChange | Upload | Reindex


@dataclass(frozen=True, slots=True)
class JobEvent:
    """A step of a job."""

    id: str
    name: str
    data: Mapping[str, Any]


class JobEvents:
    """The steps of a job in order.  Thread-safe."""

    def __init__(self) -> None:
        self._run = secrets.token_hex(4)  # the ids of another process are not known here
        self._events: deque[JobEvent] = deque(maxlen=MAX_EVENTS)
        self._count = 0
        self._turn = Lock()

    def add(self, name: str, data: Mapping[str, Any]) -> None:
        """Append a step."""
        with self._turn:
            self._count += 1
            self._events.append(JobEvent(f"{self._run}-{self._count}", name, data))

    def after(self, last_id: str) -> list[JobEvent]:
        """Return the steps after one; all that are kept if its id is unknown."""
        run, _, number = last_id.partition("-")
        with self._turn:
            if run != self._run or not number.isdigit():
                return list(self._events)
            missing = max(0, self._count - int(number[:18]))
            return list(self._events)[len(self._events) - min(missing, len(self._events)) :]


@dataclass(slots=True, eq=False)
class ChangeJob:
    """A change and its progress.  Only the writing thread modifies it."""

    collection: str
    path: Path  # of the collection
    number: int  # ascending in the order in which jobs were accepted
    work: Work | None  # None after it was applied: the documents are not kept
    size_bytes: int = 0  # of the memory that the change takes
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    accepted: str = field(default_factory=lambda: now())
    finished: str = ""
    status: str = "queued"
    report: ChangeReport = field(default_factory=ChangeReport)
    problem: Problem | None = None  # not the exception: its traceback would keep the documents
    failures: Mapping[str, Problem] = field(default_factory=dict)  # of single documents, by id
    files: Sequence[FileResult] = ()
    webhook: Webhook | None = None
    events: JobEvents = field(default_factory=JobEvents)
    done: Future[None] = field(default_factory=Future)

    @property
    def change(self) -> CollectionChange:
        """The documents and ids of the change; none for other work."""
        return self.work if isinstance(self.work, CollectionChange) else CollectionChange()

    def to_json(self) -> dict[str, object]:
        """Return the job in the form of the HTTP answer."""
        return {
            "id": self.id,
            "collection": self.collection,
            "status": self.status,
            "accepted": self.accepted,
            "finished": self.finished or None,
            "generation": self.report.generation or None,
            "added": self.report.added,
            "unchanged": self.report.unchanged,
            "updated": self.report.updated,
            "deleted": self.report.deleted,
            "failed": self.report.failed,
            "failures": [
                {"id": id_, "code": problem.code, "error": problem.detail} for id_, problem in self.failures.items()
            ],
            "files": [
                {"name": each.name, "status": each.status, "reason": each.reason, "documents": each.documents}
                for each in self.files
            ],
            "code": self.problem.code if self.problem else "",
            "error": self.problem.detail if self.problem else "",
            "webhook": _shown_webhook(self.webhook),
        }

    def accepted_record(self) -> Record:
        """Return what the next process needs to apply the change."""
        webhook = asdict(self.webhook) if self.webhook else None
        record = {"number": self.number, "collection": self.collection, "accepted": self.accepted, "webhook": webhook}
        if isinstance(self.work, Upload):
            return {**record, "upload": asdict(self.work)}
        if isinstance(self.work, Reindex):
            return {**record, "reindex": dict(self.work.lexical)}
        return {**record, "change": _packed(self.change)}

    def result_record(self) -> Record:
        """Return the result as it is stored."""
        webhook = asdict(self.webhook) if self.webhook else None
        return {**self.to_json(), "number": self.number, "webhook": webhook}


def now() -> str:
    """Return the present time in ISO format."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def job_of(job_id: str, record: Record, path: Path, name: str) -> ChangeJob:
    """Return a job from its record."""
    work: Work
    if "upload" in record:
        files = tuple(UploadedFile(**file) for file in record["upload"]["files"])
        refused = tuple((name, reason) for name, reason in record["upload"]["refused"])
        work = Upload(files, record["upload"]["keep"], refused)
    elif "reindex" in record:
        work = Reindex({name: _frozen(value) for name, value in record["reindex"].items()})
    else:
        work = _unpacked(record["change"])
    webhook = Webhook(**record["webhook"]) if record["webhook"] else None
    return ChangeJob(name, path, record["number"], work, id=job_id, accepted=record["accepted"], webhook=webhook)


def _frozen(value: Any) -> Any:
    """Return a setting with tuples, as it was before it was stored as JSON."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def shown_result(record: Record) -> dict[str, object]:
    """Return a stored result in the form of the HTTP answer."""
    webhook = Webhook(**record["webhook"]) if record["webhook"] else None
    shown = {name: value for name, value in record.items() if name != "number"}
    return {**shown, "webhook": _shown_webhook(webhook)}


def _shown_webhook(webhook: Webhook | None) -> dict[str, object] | None:
    """Return the state of a webhook, without its key."""
    if webhook is None:
        return None
    return {
        "url": webhook.url,
        "delivered": bool(webhook.delivered),
        "failures": webhook.failures,
        "error": webhook.error,
    }


def _packed(change: CollectionChange) -> Record:
    return {
        "upserts": [pack_document(document) for document in change.upserts],
        "deletes": change.deletes,
        "filter": change.filter,
        "now": change.now.isoformat() if change.now else None,
        "patches": [[patch.id, patch.changes] for patch in change.patches],
        "tags": {id_: list(tags) for id_, tags in change.tags.items()},
    }


def _unpacked(packed: Record) -> CollectionChange:
    return CollectionChange(
        upserts=tuple(unpack_document(document) for document in packed["upserts"]),
        deletes=tuple(packed["deletes"]),
        filter=packed["filter"],
        now=datetime.fromisoformat(packed["now"]) if packed["now"] else None,
        patches=tuple(DocumentPatch(id_, changes) for id_, changes in packed["patches"]),
        tags={id_: tuple(tags) for id_, tags in packed.get("tags", {}).items()},
    )
