"""Documents of a collection: read, add, change and delete them; jobs of changes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence
from typing import Unpack

import httpx

from .answers.collections import DocumentAnswer, DocumentsAnswer, TextPartAnswer
from .answers.jobs import JobAnswer
from .calls import Call, Changes, Document, Texts, listed, path_of, reads
from .connection import AsyncConnection, Connection
from .errors import ChangeFailedError
from .options import ReindexOptions
from .uploads import MAX_JOBS, UploadReport, parts_async, parts_of

PAGE_DOCUMENTS = 200
POLL_S = 0.1  # between two looks at a job


def _document(name: str, document_id: str) -> Call[DocumentAnswer]:
    return Call("GET", path_of(name, "documents", document_id), _read_document)


def _read_document(response: httpx.Response) -> DocumentAnswer:
    """Read a document, and its tag, which a proxy that compressed it marked as weak."""
    tag = response.headers.get("ETag", "").removeprefix("W/").strip('"')
    return reads(DocumentAnswer)(response).model_copy(update={"etag": tag})


def _text(name: str, document_id: str, start: int, max_tokens: int) -> Call[TextPartAnswer]:
    params = {"id": document_id, "start": start, "max_tokens": max_tokens}
    return Call("GET", path_of(name, "text"), reads(TextPartAnswer), params=params)


def _page(name: str, filter_: str, sort: str, after: str, limit: int) -> Call[DocumentsAnswer]:
    params = {"filter": filter_, "sort": sort, "after": after, "limit": limit}
    return Call("GET", path_of(name, "documents"), reads(DocumentsAnswer), params=params)


def _add(name: str, documents: Sequence[Document], wait: bool) -> Call[JobAnswer]:
    return Call("POST", path_of(name, "documents"), reads(JobAnswer), {"documents": documents}, {"wait": wait})


def _update(name: str, changes: Sequence[Changes], wait: bool) -> Call[JobAnswer]:
    return Call("PATCH", path_of(name, "documents"), reads(JobAnswer), {"documents": changes}, {"wait": wait})


def _patch(name: str, document_id: str, changes: Changes, wait: bool, etag: str) -> Call[JobAnswer]:
    path = path_of(name, "documents", document_id)
    headers = {"If-Match": f'"{etag}"'} if etag else {}
    return Call("PATCH", path, reads(JobAnswer), changes, {"wait": wait}, headers)


def _delete(name: str, ids: Sequence[str], filter_: str, wait: bool) -> Call[JobAnswer]:
    body = {"ids": ids, "filter": filter_}
    return Call("POST", path_of(name, "documents/delete"), reads(JobAnswer), body, {"wait": wait})


def _reindex(name: str, settings: ReindexOptions, wait: bool) -> Call[JobAnswer]:
    return Call("POST", path_of(name, "reindex"), reads(JobAnswer), dict(settings), {"wait": wait})


def _job(name: str, job_id: str) -> Call[JobAnswer]:
    return Call("GET", path_of(name, "jobs", job_id), reads(JobAnswer))


def _done(job: JobAnswer) -> JobAnswer:
    if job.status == "failed":
        raise ChangeFailedError(0, f"the change failed: {job.error}", job.code)
    return job


class Documents(Connection):
    """The documents and jobs of a synchronous client."""

    def document(self, collection: str, document_id: str) -> DocumentAnswer:
        """Return a document as the user added it."""
        return self._send(_document(collection, document_id))

    def text(self, collection: str, document_id: str, start: int = 0, *, max_tokens: int = 2_000) -> TextPartAnswer:
        """Return sentences of a document from `start` on, at most `max_tokens` tokens."""
        return self._send(_text(collection, document_id, start, max_tokens))

    def documents(
        self, collection: str, filter: str = "", *, sort: str = "", page: int = PAGE_DOCUMENTS
    ) -> Iterator[DocumentAnswer]:
        """Yield all documents, or the matching ones, of one generation, page by page.

        Raises ConflictError if the collection changes before the last page.
        """
        after: str | None = ""
        while after is not None:
            found = self.page(collection, filter, sort=sort, after=after, limit=page)
            yield from found.documents
            after = found.next

    def page(
        self, collection: str, filter: str = "", *, sort: str = "", after: str = "", limit: int = PAGE_DOCUMENTS
    ) -> DocumentsAnswer:
        """Return a page of documents; `after` is the cursor `next` of the page before."""
        return self._send(_page(collection, filter, sort, after, limit))

    def add(self, collection: str, documents: Sequence[Document], *, wait: bool = True) -> JobAnswer:
        """Add or replace documents in one request; with `wait`, make them searchable."""
        job = self._send(_add(collection, documents, wait))
        return self.finished(job) if wait else job

    def update(self, collection: str, changes: Sequence[Changes], *, wait: bool = True) -> JobAnswer:
        """Change some fields of documents; `failures` of the job tells those that stay."""
        job = self._send(_update(collection, changes, wait))
        return self.finished(job) if wait else job

    def patch(
        self, collection: str, document_id: str, changes: Changes, *, wait: bool = True, etag: str = ""
    ) -> JobAnswer:
        """Change some fields of one document.  Raises NotFoundError if there is none.

        With `etag`, that of the document as it was read, ConflictError if it has changed since.
        """
        job = self._send(_patch(collection, document_id, changes, wait, etag))
        return self.finished(job) if wait else job

    def upload(self, collection: str, documents: Iterable[Document]) -> UploadReport:
        """Add or replace any number of documents in bounded requests; wait for all."""
        report, jobs = UploadReport(), list[JobAnswer]()
        for part in parts_of(documents):
            jobs.append(self.add(collection, part, wait=False))
            if len(jobs) == MAX_JOBS:
                report = report.plus(self.finished(jobs.pop(0)))
        for job in jobs:
            report = report.plus(self.finished(job))
        return report

    def delete(self, collection: str, ids: Texts = (), *, filter: str = "", wait: bool = True) -> JobAnswer:
        """Delete documents by id, by filter, or both."""
        job = self._send(_delete(collection, listed(ids), filter, wait))
        return self.finished(job) if wait else job

    def reindex(self, collection: str, *, wait: bool = True, **settings: Unpack[ReindexOptions]) -> JobAnswer:
        """Change how the words of a collection are searched, without encoding anything."""
        job = self._send(_reindex(collection, settings, wait))
        return self.finished(job) if wait else job

    def job(self, collection: str, job_id: str) -> JobAnswer:
        """Return a change and its progress."""
        return self._send(_job(collection, job_id))

    def finished(self, job: JobAnswer) -> JobAnswer:
        """Wait until a job ends.  Raises ChangeFailedError if it failed."""
        while job.status in ("queued", "running"):
            time.sleep(POLL_S)
            job = self.job(job.collection, job.id)
        return _done(job)


class AsyncDocuments(AsyncConnection):
    """The documents and jobs of a client for asyncio."""

    async def document(self, collection: str, document_id: str) -> DocumentAnswer:
        """Return a document as the user added it."""
        return await self._send(_document(collection, document_id))

    async def text(
        self, collection: str, document_id: str, start: int = 0, *, max_tokens: int = 2_000
    ) -> TextPartAnswer:
        """Return sentences of a document from `start` on, at most `max_tokens` tokens."""
        return await self._send(_text(collection, document_id, start, max_tokens))

    async def documents(
        self, collection: str, filter: str = "", *, sort: str = "", page: int = PAGE_DOCUMENTS
    ) -> AsyncIterator[DocumentAnswer]:
        """Yield all documents, or the matching ones, of one generation, page by page.

        Raises ConflictError if the collection changes before the last page.
        """
        after: str | None = ""
        while after is not None:
            found = await self.page(collection, filter, sort=sort, after=after, limit=page)
            for document in found.documents:
                yield document
            after = found.next

    async def page(
        self, collection: str, filter: str = "", *, sort: str = "", after: str = "", limit: int = PAGE_DOCUMENTS
    ) -> DocumentsAnswer:
        """Return a page of documents; `after` is the cursor `next` of the page before."""
        return await self._send(_page(collection, filter, sort, after, limit))

    async def add(self, collection: str, documents: Sequence[Document], *, wait: bool = True) -> JobAnswer:
        """Add or replace documents in one request; with `wait`, make them searchable."""
        job = await self._send(_add(collection, documents, wait))
        return await self.finished(job) if wait else job

    async def update(self, collection: str, changes: Sequence[Changes], *, wait: bool = True) -> JobAnswer:
        """Change some fields of documents; `failures` of the job tells those that stay."""
        job = await self._send(_update(collection, changes, wait))
        return await self.finished(job) if wait else job

    async def patch(
        self, collection: str, document_id: str, changes: Changes, *, wait: bool = True, etag: str = ""
    ) -> JobAnswer:
        """Change some fields of one document.  Raises NotFoundError if there is none.

        With `etag`, that of the document as it was read, ConflictError if it has changed since.
        """
        job = await self._send(_patch(collection, document_id, changes, wait, etag))
        return await self.finished(job) if wait else job

    async def upload(self, collection: str, documents: Iterable[Document] | AsyncIterable[Document]) -> UploadReport:
        """Add or replace any number of documents in bounded requests; wait for all."""
        report, jobs = UploadReport(), list[JobAnswer]()
        async for part in parts_async(documents):
            jobs.append(await self.add(collection, part, wait=False))
            if len(jobs) == MAX_JOBS:
                report = report.plus(await self.finished(jobs.pop(0)))
        for job in jobs:
            report = report.plus(await self.finished(job))
        return report

    async def delete(self, collection: str, ids: Texts = (), *, filter: str = "", wait: bool = True) -> JobAnswer:
        """Delete documents by id, by filter, or both."""
        job = await self._send(_delete(collection, listed(ids), filter, wait))
        return await self.finished(job) if wait else job

    async def reindex(self, collection: str, *, wait: bool = True, **settings: Unpack[ReindexOptions]) -> JobAnswer:
        """Change how the words of a collection are searched, without encoding anything."""
        job = await self._send(_reindex(collection, settings, wait))
        return await self.finished(job) if wait else job

    async def job(self, collection: str, job_id: str) -> JobAnswer:
        """Return a change and its progress."""
        return await self._send(_job(collection, job_id))

    async def finished(self, job: JobAnswer) -> JobAnswer:
        """Wait until a job ends.  Raises ChangeFailedError if it failed."""
        while job.status in ("queued", "running"):
            await asyncio.sleep(POLL_S)
            job = await self.job(job.collection, job.id)
        return _done(job)
