"""Uploads: any number of documents in requests of bounded size."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from dataclasses import dataclass

from .answers.jobs import JobAnswer
from .calls import Document

MAX_JOBS = 4  # of one upload that run together
UPLOAD_DOCUMENTS, UPLOAD_BYTES = 256, 4_000_000  # of one request


@dataclass(frozen=True, slots=True)
class UploadReport:
    """The result of an upload."""

    added: int = 0
    unchanged: int = 0
    generation: int = 0

    def plus(self, job: JobAnswer) -> UploadReport:
        """Return the report with the result of another job."""
        generation = max(self.generation, job.generation or 0)
        return UploadReport(self.added + job.added, self.unchanged + job.unchanged, generation)


class _Part:
    """Documents collected for one request."""

    def __init__(self) -> None:
        self.documents: list[Document] = []
        self._bytes = 0

    def take(self, document: Document) -> list[Document] | None:
        """Add a document; return the finished part if the document no longer fits into it."""
        size = len(json.dumps(document, ensure_ascii=False, default=str).encode("utf-8", "replace"))
        full = len(self.documents) == UPLOAD_DOCUMENTS or self._bytes + size > UPLOAD_BYTES
        finished = self.documents if self.documents and full else None
        if finished:
            self.documents, self._bytes = [], 0
        self.documents.append(document)
        self._bytes += size
        return finished


def parts_of(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Yield the documents in parts, each for one request."""
    part = _Part()
    for document in documents:
        if finished := part.take(document):
            yield finished
    if part.documents:
        yield part.documents


async def parts_async(documents: Iterable[Document] | AsyncIterable[Document]) -> AsyncIterator[list[Document]]:
    """Yield the documents in parts, each for one request."""
    if not isinstance(documents, AsyncIterable):
        for finished in parts_of(documents):
            yield finished
        return
    part = _Part()
    async for document in documents:
        if taken := part.take(document):
            yield taken
    if part.documents:
        yield part.documents
