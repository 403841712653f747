"""Add uploaded files to an existing collection, in one generation.

The files are read by the parsers of `indexer/readers` in their sandbox, and written batch by batch.  A file that cannot
be read, or a document that cannot be added, does not stop the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from indexer.building.document_changes import ChangeReport, add_in_batches
from indexer.building.token_encoding import TokenEncoders
from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, FileOutcome, FileStatus
from indexer.readers.formats.records import metadata_from
from indexer.sources.source import FoundFile
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.encoder.sparse import SparseEncoder
from retrieval.index.metadata.given import shown_metadata, to_json
from retrieval.types import Document
from retrieval.util.files import storage_errors

MAX_RESULTS = 1_000  # files, and members of archives, that a report lists

Watch = Callable[[str, Mapping[str, Any]], None]  # gets the name of a step and its numbers


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file of an upload; on the disk it has its position as name."""

    name: str  # of the sender: a relative path
    size_bytes: int
    sha256: str
    metadata: Mapping[str, Any] = field(default_factory=dict)  # values of JSON, for each document of the file


@dataclass(frozen=True, slots=True)
class FileResult:
    """The outcome of an uploaded file, or of an unread member of an archive."""

    name: str
    status: FileStatus
    reason: str
    format: str
    ids: tuple[str, ...] = ()  # of its documents, without those that bring their own
    documents: int = 0
    is_upload: bool = True  # no member


@dataclass(frozen=True, slots=True)
class UploadResult:
    """The result of an upload; the files that failed come first."""

    report: ChangeReport
    files: tuple[FileResult, ...]


@dataclass(slots=True)
class _Reading:
    """The progress of reading; a listener of the readers."""

    files: Sequence[UploadedFile]
    watch: Watch
    done: int = 0  # files that were read; the next one is being read
    results: list[FileResult] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)  # of documents of the file that is being read

    @property
    def file(self) -> UploadedFile:
        """The file that is being read."""
        return self.files[self.done]

    def __call__(self, outcome: FileOutcome) -> None:
        """Record the outcome of a file, or of a member that gives no document."""
        result = FileResult(outcome.name, outcome.status, outcome.reason, outcome.format)
        if outcome.name != self.file.name:
            if len(self.results) < MAX_RESULTS:
                self.results.append(replace(result, is_upload=False))
            return
        self.results.append(replace(result, ids=tuple(self.ids), documents=outcome.documents))
        self.ids = []
        self.done += 1
        self.watch("parsed", {"file": outcome.name, "status": outcome.status, "documents": outcome.documents})

    def document(self, document: Document) -> Document:
        """Return a document of the present file with the metadata of the sender."""
        name = self.file.name
        if document.id == name or document.id.startswith(f"{name}/"):
            self.ids.append(document.id)
        given = self.file.metadata
        if not given:
            return document
        metadata = {**document.metadata, **metadata_from(given)}
        return replace(document, metadata=metadata, given=to_json({**shown_metadata(document), **given}))


def add_files(
    collection: Path,
    encoder: SentenceEncoder,
    files: Sequence[UploadedFile],
    folder: Path,
    *,
    watch: Watch,
    sparse_encoder: SparseEncoder | None = None,
    token_encoders: TokenEncoders | None = None,
) -> UploadResult:
    """Add the documents of `files`, which lie in `folder` by position, and commit.

    The id of a document is the file's name, with the name of a member after it, unless the document brings its own.
    `watch` is called after each step.  Raises CollectionLocked, EncoderMismatch, StorageError: nothing has changed.
    """
    from indexer.building.source_reading import batch_documents

    reading = _Reading(files, watch)
    report = add_in_batches(
        collection,
        encoder,
        batch_documents(_documents(files, folder, reading)),
        cause=_cause(files),
        watch=lambda report: watch("encoded", {"documents": report.added + report.unchanged}),
        sparse_encoder=sparse_encoder,
        token_encoders=token_encoders,
    )
    order = [FileStatus.FAILED, FileStatus.SKIPPED, FileStatus.READ]
    return UploadResult(report, tuple(sorted(reading.results, key=lambda each: order.index(each.status))))


def _documents(files: Sequence[UploadedFile], folder: Path, reading: _Reading) -> Iterator[Document]:
    from indexer.readers.opening import read_files

    found = (_found(folder / str(number), file) for number, file in enumerate(files))
    options = ReadOptions(tables_as_text=True)
    for item in read_files(_announced(found, reading.watch), folder, options, reading):
        if isinstance(item, Document):  # the outcome of a file says why other items give no document
            yield reading.document(item)


def _found(path: Path, file: UploadedFile) -> FoundFile:
    """Return a file to read; one that has changed since it was received has failed."""
    with storage_errors(path), path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    failed = "" if digest == file.sha256 else "was damaged on the disk of the service; upload it again"
    return FoundFile(path, DocumentOrigin(file.name, file.name), failed=failed)


def _announced(found: Iterable[FoundFile], watch: Watch) -> Iterator[FoundFile]:
    for each in found:
        watch("reading", {"file": each.origin.name})
        yield each


def _cause(files: Sequence[UploadedFile]) -> str:
    return f"upload {files[0].name}" if len(files) == 1 else f"upload {len(files)} files"
