"""The Python client: `Client`, and `AsyncClient` with the same methods.

    with Client("http://127.0.0.1:8080") as client:
        for hit in client.search("papers", "does aspirin lower the risk of stroke", k=3).hits:
            print(hit.rank, hit.title)

Needs httpx and pydantic only.  Requests refused for lack of room (429, 503) and connections that could not be made are
tried again, later each time.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Self, TypedDict, TypeVar, Unpack
from urllib.parse import quote

import httpx

from service.schemas.changes import JobAnswer
from service.schemas.collections import (
    CollectionAnswer,
    CollectionDetails,
    CollectionsAnswer,
    DocumentAnswer,
    DocumentsAnswer,
)
from service.schemas.openai import EmbeddingsAnswer
from service.schemas.problems import ProblemAnswer
from service.schemas.rerank import CohereAnswer, CohereResult
from service.schemas.search import BatchAnswer, SearchAnswer

T = TypeVar("T")
Document = Mapping[str, Any]  # id, text, and what else there is: title, metadata, fields

URL_VARIABLE, KEY_VARIABLE, DEFAULT_URL = "ATTENDEX_URL", "ATTENDEX_API_KEY", "http://127.0.0.1:8080"
RETRIED, LONGEST_PAUSE_S = (429, 503), 10.0
UPLOAD_DOCUMENTS, UPLOAD_BYTES = 256, 4_000_000  # of one request
PAGE_DOCUMENTS = 200
JOBS_ON_THEIR_WAY, POLL_S = 4, 0.1


class ServiceError(Exception):
    """The service said no: `status` and `code` say how, `problem` is the whole answer where it is one of ours."""

    def __init__(self, status: int, detail: str, code: str = "", problem: ProblemAnswer | None = None) -> None:
        super().__init__(f"{status}: {detail}" if status else detail)
        self.status, self.code = status, code
        self.detail = detail
        self.problem = problem


class SearchOptions(TypedDict, total=False):
    """Options of a search; see the service's documentation for each."""

    k: int
    offset: int
    mode: Literal["dense", "lexical", "hybrid"]
    filter: str
    fusion: Literal["convex", "rrf"]
    weight: float
    rrf_k: int
    facets: Sequence[str]
    sort: str
    min_score: float
    passages_per_document: int
    exact: bool
    explain: bool


@dataclass(frozen=True, slots=True)
class UploadReport:
    """What an upload did."""

    added: int = 0
    unchanged: int = 0
    generation: int = 0

    def plus(self, job: JobAnswer) -> UploadReport:
        """With what one more job did."""
        return UploadReport(
            self.added + job.added, self.unchanged + job.unchanged, max(self.generation, job.generation or 0)
        )


@dataclass(frozen=True, slots=True)
class _Call(Generic[T]):
    """A request, and how its answer is read."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    body: Any = None
    params: Mapping[str, Any] | None = None


class _Calls:
    """What can be asked, apart from how it is sent."""

    def collections(self) -> _Call[list[CollectionAnswer]]:
        return _Call("GET", "/v1/collections", lambda r: CollectionsAnswer.model_validate_json(r.content).collections)

    def collection(self, name: str) -> _Call[CollectionDetails]:
        return _Call("GET", _path(name), lambda r: CollectionDetails.model_validate_json(r.content))

    def create(self, name: str, encoder: str, fields: Mapping[str, str] | None) -> _Call[CollectionDetails]:
        body = {"encoder": encoder, "fields": fields}
        return _Call("PUT", _path(name), lambda r: CollectionDetails.model_validate_json(r.content), body)

    def drop(self, name: str) -> _Call[None]:
        return _Call("DELETE", _path(name), lambda _: None)

    def search(self, name: str, query: str, options: SearchOptions) -> _Call[SearchAnswer]:
        body = {"query": query, **options}
        return _Call("POST", _path(name, "search"), lambda r: SearchAnswer.model_validate_json(r.content), body)

    def search_batch(self, name: str, queries: Sequence[str], options: SearchOptions) -> _Call[list[SearchAnswer]]:
        body = {"searches": [{"query": query, **options} for query in queries]}
        return _Call(
            "POST", _path(name, "search/batch"), lambda r: BatchAnswer.model_validate_json(r.content).results, body
        )

    def document(self, name: str, document_id: str) -> _Call[DocumentAnswer]:
        return _Call(
            "GET", _path(name, "documents", document_id), lambda r: DocumentAnswer.model_validate_json(r.content)
        )

    def documents(self, name: str, filter_: str, offset: int) -> _Call[DocumentsAnswer]:
        params = {"filter": filter_, "offset": offset, "limit": PAGE_DOCUMENTS}
        return _Call("GET", _path(name, "documents"), _page, params=params)

    def add(self, name: str, documents: Sequence[Document], wait: bool) -> _Call[JobAnswer]:
        return _Call("POST", _path(name, "documents"), _job, {"documents": documents}, {"wait": wait})

    def delete(self, name: str, ids: Sequence[str], filter_: str, wait: bool) -> _Call[JobAnswer]:
        return _Call("POST", _path(name, "documents/delete"), _job, {"ids": ids, "filter": filter_}, {"wait": wait})

    def job(self, name: str, job_id: str) -> _Call[JobAnswer]:
        return _Call("GET", _path(name, "jobs", job_id), _job)

    def embed(self, texts: Sequence[str], model: str, queries: bool) -> _Call[list[list[float]]]:
        body = {"input": texts, "model": model, "input_type": "query" if queries else "document"}
        return _Call("POST", "/v1/embeddings", _vectors, body)

    def rerank(self, query: str, documents: Sequence[str], top_n: int | None) -> _Call[list[CohereResult]]:
        body = {"query": query, "documents": documents, "top_n": top_n}
        return _Call("POST", "/v2/rerank", lambda r: CohereAnswer.model_validate_json(r.content).results, body)


class Client:
    """Asks a service.  `url` and `key` default to ATTENDEX_URL and ATTENDEX_API_KEY.  Safe to share between threads."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout_s: float = 60.0,
        retries: int = 4,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(**_connection(url, key, timeout_s), transport=transport)
        self._retries = retries
        self._calls = _Calls()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def collections(self) -> list[CollectionAnswer]:
        """All collections, by name."""
        return self._send(self._calls.collections())

    def collection(self, name: str) -> CollectionDetails:
        """One collection in detail."""
        return self._send(self._calls.collection(name))

    def create(self, name: str, encoder: str = "default", fields: Mapping[str, str] | None = None) -> CollectionDetails:
        """Make an empty collection."""
        return self._send(self._calls.create(name, encoder, fields))

    def drop(self, name: str) -> None:
        """Remove a collection and all that is in it."""
        self._send(self._calls.drop(name))

    def search(self, collection: str, query: str, **options: Unpack[SearchOptions]) -> SearchAnswer:
        """Documents that answer the query, best first."""
        return self._send(self._calls.search(collection, query, options))

    def search_batch(
        self, collection: str, queries: Sequence[str], **options: Unpack[SearchOptions]
    ) -> list[SearchAnswer]:
        """Answers in the order of the queries."""
        return self._send(self._calls.search_batch(collection, queries, options))

    def document(self, collection: str, document_id: str) -> DocumentAnswer:
        """One document as it was given."""
        return self._send(self._calls.document(collection, document_id))

    def documents(self, collection: str, filter: str = "") -> Iterator[DocumentAnswer]:
        """All documents, or those that match, fetched page by page."""
        offset, total = 0, 1
        while offset < total:
            page = self._send(self._calls.documents(collection, filter, offset))
            yield from page.documents
            offset, total = offset + PAGE_DOCUMENTS, page.total

    def add(self, collection: str, documents: Sequence[Document], *, wait: bool = True) -> JobAnswer:
        """Add or replace some documents in one request; with `wait` they can be searched afterwards."""
        return self._send(self._calls.add(collection, documents, wait))

    def upload(self, collection: str, documents: Iterable[Document]) -> UploadReport:
        """Add or replace any number of documents, streamed in requests of bounded size; waits for the last one."""
        report, jobs = UploadReport(), list[JobAnswer]()
        for part in _parts(documents):
            jobs.append(self.add(collection, part, wait=False))
            if len(jobs) == JOBS_ON_THEIR_WAY:
                report = report.plus(self.finished(jobs.pop(0)))
        for job in jobs:
            report = report.plus(self.finished(job))
        return report

    def delete(self, collection: str, ids: Sequence[str] = (), *, filter: str = "", wait: bool = True) -> JobAnswer:
        """Delete documents by id, by filter, or both."""
        return self._send(self._calls.delete(collection, list(ids), filter, wait))

    def finished(self, job: JobAnswer) -> JobAnswer:
        """Wait until a job is done.  Raises ServiceError where it failed."""
        while job.status in ("queued", "running"):
            time.sleep(POLL_S)
            job = self._send(self._calls.job(job.collection, job.id))
        return _done(job)

    def embed(self, texts: Sequence[str], *, model: str = "default", queries: bool = False) -> list[list[float]]:
        """Vectors of length one, in the order of the texts."""
        return self._send(self._calls.embed(list(texts), model, queries))

    def rerank(self, query: str, documents: Sequence[str], top_n: int | None = None) -> list[CohereResult]:
        """Places of the documents and their scores, best first."""
        return self._send(self._calls.rerank(query, list(documents), top_n))

    def ready(self) -> bool:
        """Whether the service can answer requests now."""
        try:
            return self._http.get("/readyz").is_success
        except httpx.TransportError:
            return False

    def _send(self, call: _Call[T]) -> T:
        for pause in _pauses(self._retries):
            try:
                response = self._http.request(call.method, call.path, json=call.body, params=call.params)
            except httpx.ConnectError as error:
                failed, wait = _unreachable(self._http, error), pause
            else:
                if response.is_success:
                    return call.read(response)
                failed, wait = _error(response), _pause(response, pause)
            if wait is None:
                raise failed
            time.sleep(wait)
        raise AssertionError("the last pause is None")


class AsyncClient:
    """The same for asyncio."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout_s: float = 60.0,
        retries: int = 4,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(**_connection(url, key, timeout_s), transport=transport)
        self._retries = retries
        self._calls = _Calls()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def collections(self) -> list[CollectionAnswer]:
        """All collections, by name."""
        return await self._send(self._calls.collections())

    async def collection(self, name: str) -> CollectionDetails:
        """One collection in detail."""
        return await self._send(self._calls.collection(name))

    async def create(
        self, name: str, encoder: str = "default", fields: Mapping[str, str] | None = None
    ) -> CollectionDetails:
        """Make an empty collection."""
        return await self._send(self._calls.create(name, encoder, fields))

    async def drop(self, name: str) -> None:
        """Remove a collection and all that is in it."""
        await self._send(self._calls.drop(name))

    async def search(self, collection: str, query: str, **options: Unpack[SearchOptions]) -> SearchAnswer:
        """Documents that answer the query, best first."""
        return await self._send(self._calls.search(collection, query, options))

    async def search_batch(
        self, collection: str, queries: Sequence[str], **options: Unpack[SearchOptions]
    ) -> list[SearchAnswer]:
        """Answers in the order of the queries."""
        return await self._send(self._calls.search_batch(collection, queries, options))

    async def document(self, collection: str, document_id: str) -> DocumentAnswer:
        """One document as it was given."""
        return await self._send(self._calls.document(collection, document_id))

    async def documents(self, collection: str, filter: str = "") -> AsyncIterator[DocumentAnswer]:
        """All documents, or those that match, fetched page by page."""
        offset, total = 0, 1
        while offset < total:
            page = await self._send(self._calls.documents(collection, filter, offset))
            for document in page.documents:
                yield document
            offset, total = offset + PAGE_DOCUMENTS, page.total

    async def add(self, collection: str, documents: Sequence[Document], *, wait: bool = True) -> JobAnswer:
        """Add or replace some documents in one request; with `wait` they can be searched afterwards."""
        return await self._send(self._calls.add(collection, documents, wait))

    async def upload(self, collection: str, documents: Iterable[Document] | AsyncIterable[Document]) -> UploadReport:
        """Add or replace any number of documents, streamed in requests of bounded size; waits for the last one."""
        report, jobs = UploadReport(), list[JobAnswer]()
        async for part in _parts_async(documents):
            jobs.append(await self.add(collection, part, wait=False))
            if len(jobs) == JOBS_ON_THEIR_WAY:
                report = report.plus(await self.finished(jobs.pop(0)))
        for job in jobs:
            report = report.plus(await self.finished(job))
        return report

    async def delete(
        self, collection: str, ids: Sequence[str] = (), *, filter: str = "", wait: bool = True
    ) -> JobAnswer:
        """Delete documents by id, by filter, or both."""
        return await self._send(self._calls.delete(collection, list(ids), filter, wait))

    async def finished(self, job: JobAnswer) -> JobAnswer:
        """Wait until a job is done.  Raises ServiceError where it failed."""
        while job.status in ("queued", "running"):
            await asyncio.sleep(POLL_S)
            job = await self._send(self._calls.job(job.collection, job.id))
        return _done(job)

    async def embed(self, texts: Sequence[str], *, model: str = "default", queries: bool = False) -> list[list[float]]:
        """Vectors of length one, in the order of the texts."""
        return await self._send(self._calls.embed(list(texts), model, queries))

    async def rerank(self, query: str, documents: Sequence[str], top_n: int | None = None) -> list[CohereResult]:
        """Places of the documents and their scores, best first."""
        return await self._send(self._calls.rerank(query, list(documents), top_n))

    async def ready(self) -> bool:
        """Whether the service can answer requests now."""
        try:
            return (await self._http.get("/readyz")).is_success
        except httpx.TransportError:
            return False

    async def _send(self, call: _Call[T]) -> T:
        for pause in _pauses(self._retries):
            try:
                response = await self._http.request(call.method, call.path, json=call.body, params=call.params)
            except httpx.ConnectError as error:
                failed, wait = _unreachable(self._http, error), pause
            else:
                if response.is_success:
                    return call.read(response)
                failed, wait = _error(response), _pause(response, pause)
            if wait is None:
                raise failed
            await asyncio.sleep(wait)
        raise AssertionError("the last pause is None")


def _connection(url: str | None, key: str | None, timeout_s: float) -> dict[str, Any]:
    key = key or os.environ.get(KEY_VARIABLE)
    return {
        "base_url": url or os.environ.get(URL_VARIABLE) or DEFAULT_URL,
        "headers": {"Authorization": f"Bearer {key}"} if key else {},
        "timeout": timeout_s,
    }


def _path(collection: str, *parts: str) -> str:
    kept = [quote(part, safe="/") for part in parts]
    return "/".join(["/v1/collections", quote(collection, safe=""), *kept])


def _job(response: httpx.Response) -> JobAnswer:
    return JobAnswer.model_validate_json(response.content)


def _page(response: httpx.Response) -> DocumentsAnswer:
    return DocumentsAnswer.model_validate_json(response.content)


def _vectors(response: httpx.Response) -> list[list[float]]:
    found = EmbeddingsAnswer.model_validate_json(response.content).data
    return [each.embedding for each in found if not isinstance(each.embedding, str)]


def _done(job: JobAnswer) -> JobAnswer:
    if job.status == "failed":
        raise ServiceError(0, f"the change failed: {job.error}", job.code)
    return job


def _pauses(retries: int) -> Iterator[float | None]:
    """Seconds to wait after each attempt, longer each time and never two callers alike; None after the last."""
    for attempt in range(retries):
        yield random.uniform(0.5, 1.0) * min(LONGEST_PAUSE_S, 0.2 * 2.0**attempt)
    yield None


def _pause(response: httpx.Response, pause: float | None) -> float | None:
    """How long to wait before the next attempt; None for a refusal that will not change."""
    if pause is None or response.status_code not in RETRIED:
        return None
    asked = response.headers.get("retry-after", "")
    return max(pause, min(float(asked), LONGEST_PAUSE_S)) if asked.isdigit() else pause


def _error(response: httpx.Response) -> ServiceError:
    try:
        problem = ProblemAnswer.model_validate_json(response.content)
    except ValueError:
        return ServiceError(response.status_code, response.text[:500] or response.reason_phrase)
    return ServiceError(response.status_code, problem.detail, problem.code, problem)


def _unreachable(http: Any, error: httpx.ConnectError) -> ServiceError:
    return ServiceError(0, f"{http.base_url} cannot be reached ({error}); is `attendex serve` running?", "unreachable")


class _Part:
    """Documents collected for one request."""

    def __init__(self) -> None:
        self.documents: list[Document] = []
        self._bytes = 0

    def take(self, document: Document) -> list[Document] | None:
        """Add a document; the finished part where it does not fit any more."""
        size = len(json.dumps(document, ensure_ascii=False, default=str).encode("utf-8", "replace"))
        full = len(self.documents) == UPLOAD_DOCUMENTS or self._bytes + size > UPLOAD_BYTES
        finished = self.documents if self.documents and full else None
        if finished:
            self.documents, self._bytes = [], 0
        self.documents.append(document)
        self._bytes += size
        return finished


def _parts(documents: Iterable[Document]) -> Iterator[list[Document]]:
    part = _Part()
    for document in documents:
        if finished := part.take(document):
            yield finished
    if part.documents:
        yield part.documents


async def _parts_async(documents: Iterable[Document] | AsyncIterable[Document]) -> AsyncIterator[list[Document]]:
    if not isinstance(documents, AsyncIterable):
        for finished in _parts(documents):
            yield finished
        return
    part = _Part()
    async for document in documents:
        if taken := part.take(document):
            yield taken
    if part.documents:
        yield part.documents
