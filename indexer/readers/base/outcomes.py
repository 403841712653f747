"""Origins of documents, outcomes of files, and the report of a run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TextIO, TypeAlias

from retrieval.errors import BadDocument, MissingExtra
from retrieval.types import Document
from retrieval.util.files import storage_errors

MAX_LISTED_FILES = 1_000  # files with problems that are kept for the end; the report lists all of them
MAX_SKIP_REASONS = 100  # that are told apart
OTHER_REASONS = "other reasons"

ReadItem: TypeAlias = Document | BadDocument  # a reader yields a document, or the reason why it has none


def printable(name: str) -> str:
    """Return `name` with bytes that are not UTF-8 (old file names) as `\\\\xe9`."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


@dataclass(frozen=True, slots=True)
class DocumentOrigin:
    """Origin of a document: the path to show, and the stable name for its id."""

    path: str
    name: str
    depth: int = 0  # number of archives and mails that contain the document

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", printable(self.path))
        object.__setattr__(self, "name", printable(self.name))

    def member(self, name: str) -> DocumentOrigin:
        """Return the origin of an archive member or a mail attachment."""
        return DocumentOrigin(f"{self.path}/{name}", f"{self.name}/{name}", self.depth + 1)


@dataclass(frozen=True, slots=True)
class UnreadPart:
    """A part of a file that gives no document, or a file whose text may be unusable."""

    path: str
    name: str
    reason: str


class FileStatus(StrEnum):
    """Status of a file after reading."""

    READ = "read"
    SKIPPED = "skipped"  # not a document, by its kind or by a rule
    FAILED = "failed"  # the reader should have read it and could not


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """Outcome of one file. `reason` is empty if reading had no problem."""

    path: str
    status: FileStatus
    format: str = ""
    reason: str = ""
    documents: int = 0
    bad: int = 0  # lines, rows or members that gave no document
    bytes: int = 0
    seconds: float = 0.0
    name: str = ""  # the ids of its documents are made from this name, unless they bring their own
    own_ids: int = 0  # documents that bring their own


FileListener: TypeAlias = Callable[[FileOutcome], None]


@dataclass(slots=True)
class SkippedFiles:
    """The files that were skipped for one reason."""

    first: str  # its path
    count: int = 0


class FileReport:
    """Counts outcomes and writes them as JSON lines.  Raises StorageError."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._file: TextIO | None = None
        self.counts: Counter[FileStatus] = Counter()
        self.bad = 0  # lines, rows and members of all files
        self.without_parser: Counter[str] = Counter()  # files that need a package, by the command that installs it
        self.skipped: dict[str, SkippedFiles] = {}  # by reason
        self.num_troubled = 0  # files that failed or had bad lines
        self._troubled: dict[FileStatus, list[FileOutcome]] = {status: [] for status in FileStatus}

    def __enter__(self) -> FileReport:
        if self._path is not None:
            with storage_errors(self._path):
                self._file = self._path.open("w", encoding="utf-8", errors="backslashreplace")
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def __call__(self, outcome: FileOutcome) -> None:
        self.counts[outcome.status] += 1
        self.bad += outcome.bad
        if command := outcome.reason.partition(MissingExtra.HINT)[2]:
            self.without_parser[command] += 1
        if outcome.status is FileStatus.SKIPPED:
            self._count_skipped(outcome)
        elif outcome.reason:
            self.num_troubled += 1
            listed = self._troubled[outcome.status]
            if len(listed) < MAX_LISTED_FILES:
                listed.append(outcome)
        if self._path is not None and self._file is not None:
            with storage_errors(self._path):
                self._file.write(json.dumps(asdict(outcome), ensure_ascii=False) + "\n")

    def _count_skipped(self, outcome: FileOutcome) -> None:
        known = outcome.reason in self.skipped or len(self.skipped) < MAX_SKIP_REASONS
        skipped = self.skipped.setdefault(outcome.reason if known else OTHER_REASONS, SkippedFiles(outcome.path))
        skipped.count += 1

    @property
    def troubled(self) -> list[FileOutcome]:
        """The first files that failed, then those that had bad lines."""
        return [*self._troubled[FileStatus.FAILED], *self._troubled[FileStatus.READ]][:MAX_LISTED_FILES]

    @property
    def failed(self) -> bool:
        """True if a file failed or held a bad line; `--strict` makes that an error."""
        return bool(self.counts[FileStatus.FAILED] or self.bad)

    def summary(self) -> str:
        """Return the counts as one line, such as "31 read, 1 skipped, 1 failed"."""
        return ", ".join(f"{self.counts[status]:,} {status.value}" for status in FileStatus)
