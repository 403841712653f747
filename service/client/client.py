"""The Python client: `Client`, and `AsyncClient` with the same methods.

    with Client("http://127.0.0.1:8080") as client:
        for hit in client.search("papers", "does aspirin lower the risk of stroke", k=3).hits:
            print(hit.rank, hit.title)

It imports httpx and pydantic only. It tries again, after longer and longer pauses, if the service is overloaded (429,
503) or a connection fails. Every failure is a ServiceError in the end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Self, TypeVar, Unpack

import httpx

from service.client.options import PinRequest, SearchOptions, SynonymRequest
from service.client.requests import (
    PAGE_DOCUMENTS,
    Call,
    Calls,
    Changes,
    Document,
    ServiceError,
    Texts,
    UploadReport,
    connection,
    done,
    error_of,
    listed,
    no_answer,
    parts_async,
    parts_of,
    pause_after,
    pause_without_answer,
    pauses,
    read_answer,
)
from service.schemas.collections import CollectionAnswer, CollectionDetails, DocumentAnswer, JobAnswer, TextPartAnswer
from service.schemas.explanations import ExplanationAnswer
from service.schemas.facets import FacetValuesAnswer
from service.schemas.pages import OverviewAnswer
from service.schemas.pins import PinsAnswer
from service.schemas.query_log import LoggedQueriesAnswer
from service.schemas.rerank import CohereResult
from service.schemas.search import SearchAnswer
from service.schemas.suggestions import SuggestAnswer
from service.schemas.synonyms import SynonymsAnswer

__all__ = ["AsyncClient", "Client", "SearchOptions", "ServiceError", "UploadReport"]

T = TypeVar("T")
MAX_JOBS, POLL_S = 4, 0.1  # jobs of one upload that run together


class Client:
    """A thread-safe client; `url`, `key` default to ATTENDEX_URL, ATTENDEX_API_KEY."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout_s: float = 60.0,
        retries: int = 4,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(**connection(url, key, timeout_s), transport=transport)
        self._retries = retries
        self._calls = Calls()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def collections(self) -> list[CollectionAnswer]:
        """Return all collections, by name."""
        return self._send(self._calls.collections())

    def collection(self, name: str) -> CollectionDetails:
        """Return the details of a collection."""
        return self._send(self._calls.collection(name))

    def create(
        self, name: str, encoder: str = "default", fields: Mapping[str, str] | None = None, expires: str = ""
    ) -> CollectionDetails:
        """Create an empty collection; `expires` names the date field of expiry."""
        return self._send(self._calls.create(name, encoder, fields, expires))

    def drop(self, name: str) -> None:
        """Remove a collection and all its documents."""
        self._send(self._calls.drop(name))

    def search(self, collection: str | Sequence[str], query: str, **options: Unpack[SearchOptions]) -> SearchAnswer:
        """Return the documents of a collection, or of several, that match, best first."""
        return self._send(self._calls.search(collection, query, options))

    def search_batch(
        self, collection: str, queries: Sequence[str], **options: Unpack[SearchOptions]
    ) -> list[SearchAnswer]:
        """Return the answers in the order of the queries."""
        return self._send(self._calls.search_batch(collection, queries, options))

    def similar(self, collection: str, document_id: str, **options: Unpack[SearchOptions]) -> SearchAnswer:
        """Return the documents that are most like a document, without it."""
        return self._send(self._calls.similar(collection, document_id, options))

    def suggest(self, collection: str, query: str, k: int = 5) -> SuggestAnswer:
        """Return words and titles for a query that is being typed."""
        return self._send(self._calls.suggest(collection, query, k))

    def facet_values(
        self, collection: str, field: str, prefix: str = "", *, query: str = "", filter: str = "", k: int = 10
    ) -> FacetValuesAnswer:
        """Return the values of a field that begin with a prefix, and their counts."""
        params = {"prefix": prefix, "q": query, "filter": filter, "k": k}
        return self._send(self._calls.facet_values(collection, field, params))

    def synonyms(self, collection: str) -> SynonymsAnswer:
        """Return the synonyms of a collection."""
        return self._send(self._calls.synonyms(collection))

    def replace_synonyms(self, collection: str, rules: Sequence[SynonymRequest]) -> SynonymsAnswer:
        """Make a generation with these rules of synonyms."""
        return self._send(self._calls.replace_synonyms(collection, rules))

    def pins(self, collection: str) -> PinsAnswer:
        """Return the pins of a collection."""
        return self._send(self._calls.pins(collection))

    def replace_pins(self, collection: str, rules: Sequence[PinRequest]) -> PinsAnswer:
        """Make a generation with these pins."""
        return self._send(self._calls.replace_pins(collection, rules))

    def click(self, collection: str, query_id: str, document_id: str, position: int) -> None:
        """Record a click on a hit; `query_id` is that of the answer, `position` the rank."""
        self._send(self._calls.click(collection, query_id, document_id, position))

    def queries(self, collection: str, problem: str = "", k: int = 50) -> LoggedQueriesAnswer:
        """Return the queries of the log, or those with `zero_hits`, `low_confidence`."""
        return self._send(self._calls.queries(collection, problem, k))

    def document(self, collection: str, document_id: str) -> DocumentAnswer:
        """Return a document as the user added it."""
        return self._send(self._calls.document(collection, document_id))

    def text(self, collection: str, document_id: str, start: int = 0, *, max_tokens: int = 2_000) -> TextPartAnswer:
        """Return sentences of a document from `start` on, at most `max_tokens` tokens."""
        return self._send(self._calls.text(collection, document_id, start, max_tokens))

    def overview(self, collection: str) -> OverviewAnswer:
        """Return the fields, their most frequent values, and the kept generations."""
        return self._send(self._calls.overview(collection))

    def explain(self, collection: str, query: str, document_id: str) -> ExplanationAnswer:
        """Return the parts of a document's score for a query."""
        return self._send(self._calls.explain(collection, query, document_id))

    def documents(self, collection: str, filter: str = "", *, sort: str = "") -> Iterator[DocumentAnswer]:
        """Yield all documents, or the matching ones, page by page."""
        offset, total = 0, 1
        while offset < total:
            page = self._send(self._calls.documents(collection, filter, sort, offset))
            yield from page.documents
            offset, total = offset + PAGE_DOCUMENTS, page.total

    def add(self, collection: str, documents: Sequence[Document], *, wait: bool = True) -> JobAnswer:
        """Add or replace documents in one request; with `wait`, make them searchable."""
        job = self._send(self._calls.add(collection, documents, wait))
        return self.finished(job) if wait else job

    def update(self, collection: str, changes: Sequence[Changes], *, wait: bool = True) -> JobAnswer:
        """Change some fields of documents; `failures` of the job tells those that stay."""
        job = self._send(self._calls.update(collection, changes, wait))
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
        job = self._send(self._calls.delete(collection, listed(ids), filter, wait))
        return self.finished(job) if wait else job

    def finished(self, job: JobAnswer) -> JobAnswer:
        """Wait until a job ends.  Raises ServiceError if it failed."""
        while job.status in ("queued", "running"):
            time.sleep(POLL_S)
            job = self._send(self._calls.job(job.collection, job.id))
        return done(job)

    def embed(self, texts: Texts, *, model: str = "default", queries: bool = False) -> list[list[float]]:
        """Return vectors of length one, in the order of the texts."""
        return self._send(self._calls.embed(listed(texts), model, queries))

    def rerank(self, query: str, documents: Texts, top_n: int | None = None) -> list[CohereResult]:
        """Return the positions of the documents and their scores, best first."""
        return self._send(self._calls.rerank(query, listed(documents), top_n))

    def ready(self) -> bool:
        """Check whether the service can answer requests now."""
        try:
            return self._http.get("/readyz").is_success
        except httpx.TransportError:
            return False

    def _send(self, call: Call[T]) -> T:
        for pause in pauses(self._retries):
            try:
                response = self._http.request(call.method, call.path, params=call.params, **call.sent)
            except httpx.TransportError as error:
                failed, wait = no_answer(self._http, error), pause_without_answer(error, pause)
            else:
                if response.is_success:
                    return read_answer(call, response)
                failed, wait = error_of(response), pause_after(response, pause)
            if wait is None:
                raise failed
            time.sleep(wait)
        raise AssertionError("the last pause is None")


class AsyncClient:
    """The client for asyncio; each method does as the method of `Client`."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout_s: float = 60.0,
        retries: int = 4,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(**connection(url, key, timeout_s), transport=transport)
        self._retries = retries
        self._calls = Calls()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def collections(self) -> list[CollectionAnswer]:
        return await self._send(self._calls.collections())

    async def collection(self, name: str) -> CollectionDetails:
        return await self._send(self._calls.collection(name))

    async def create(
        self, name: str, encoder: str = "default", fields: Mapping[str, str] | None = None, expires: str = ""
    ) -> CollectionDetails:
        return await self._send(self._calls.create(name, encoder, fields, expires))

    async def drop(self, name: str) -> None:
        await self._send(self._calls.drop(name))

    async def search(
        self, collection: str | Sequence[str], query: str, **options: Unpack[SearchOptions]
    ) -> SearchAnswer:
        return await self._send(self._calls.search(collection, query, options))

    async def search_batch(
        self, collection: str, queries: Sequence[str], **options: Unpack[SearchOptions]
    ) -> list[SearchAnswer]:
        return await self._send(self._calls.search_batch(collection, queries, options))

    async def similar(self, collection: str, document_id: str, **options: Unpack[SearchOptions]) -> SearchAnswer:
        return await self._send(self._calls.similar(collection, document_id, options))

    async def suggest(self, collection: str, query: str, k: int = 5) -> SuggestAnswer:
        return await self._send(self._calls.suggest(collection, query, k))

    async def facet_values(
        self, collection: str, field: str, prefix: str = "", *, query: str = "", filter: str = "", k: int = 10
    ) -> FacetValuesAnswer:
        """Return the values of a field that begin with a prefix, and their counts."""
        params = {"prefix": prefix, "q": query, "filter": filter, "k": k}
        return await self._send(self._calls.facet_values(collection, field, params))

    async def synonyms(self, collection: str) -> SynonymsAnswer:
        return await self._send(self._calls.synonyms(collection))

    async def replace_synonyms(self, collection: str, rules: Sequence[SynonymRequest]) -> SynonymsAnswer:
        return await self._send(self._calls.replace_synonyms(collection, rules))

    async def pins(self, collection: str) -> PinsAnswer:
        return await self._send(self._calls.pins(collection))

    async def replace_pins(self, collection: str, rules: Sequence[PinRequest]) -> PinsAnswer:
        return await self._send(self._calls.replace_pins(collection, rules))

    async def click(self, collection: str, query_id: str, document_id: str, position: int) -> None:
        await self._send(self._calls.click(collection, query_id, document_id, position))

    async def queries(self, collection: str, problem: str = "", k: int = 50) -> LoggedQueriesAnswer:
        return await self._send(self._calls.queries(collection, problem, k))

    async def document(self, collection: str, document_id: str) -> DocumentAnswer:
        return await self._send(self._calls.document(collection, document_id))

    async def text(
        self, collection: str, document_id: str, start: int = 0, *, max_tokens: int = 2_000
    ) -> TextPartAnswer:
        return await self._send(self._calls.text(collection, document_id, start, max_tokens))

    async def overview(self, collection: str) -> OverviewAnswer:
        return await self._send(self._calls.overview(collection))

    async def explain(self, collection: str, query: str, document_id: str) -> ExplanationAnswer:
        return await self._send(self._calls.explain(collection, query, document_id))

    async def documents(self, collection: str, filter: str = "", *, sort: str = "") -> AsyncIterator[DocumentAnswer]:
        offset, total = 0, 1
        while offset < total:
            page = await self._send(self._calls.documents(collection, filter, sort, offset))
            for document in page.documents:
                yield document
            offset, total = offset + PAGE_DOCUMENTS, page.total

    async def add(self, collection: str, documents: Sequence[Document], *, wait: bool = True) -> JobAnswer:
        job = await self._send(self._calls.add(collection, documents, wait))
        return await self.finished(job) if wait else job

    async def update(self, collection: str, changes: Sequence[Changes], *, wait: bool = True) -> JobAnswer:
        job = await self._send(self._calls.update(collection, changes, wait))
        return await self.finished(job) if wait else job

    async def upload(self, collection: str, documents: Iterable[Document] | AsyncIterable[Document]) -> UploadReport:
        report, jobs = UploadReport(), list[JobAnswer]()
        async for part in parts_async(documents):
            jobs.append(await self.add(collection, part, wait=False))
            if len(jobs) == MAX_JOBS:
                report = report.plus(await self.finished(jobs.pop(0)))
        for job in jobs:
            report = report.plus(await self.finished(job))
        return report

    async def delete(self, collection: str, ids: Texts = (), *, filter: str = "", wait: bool = True) -> JobAnswer:
        job = await self._send(self._calls.delete(collection, listed(ids), filter, wait))
        return await self.finished(job) if wait else job

    async def finished(self, job: JobAnswer) -> JobAnswer:
        while job.status in ("queued", "running"):
            await asyncio.sleep(POLL_S)
            job = await self._send(self._calls.job(job.collection, job.id))
        return done(job)

    async def embed(self, texts: Texts, *, model: str = "default", queries: bool = False) -> list[list[float]]:
        return await self._send(self._calls.embed(listed(texts), model, queries))

    async def rerank(self, query: str, documents: Texts, top_n: int | None = None) -> list[CohereResult]:
        return await self._send(self._calls.rerank(query, listed(documents), top_n))

    async def ready(self) -> bool:
        try:
            return (await self._http.get("/readyz")).is_success
        except httpx.TransportError:
            return False

    async def _send(self, call: Call[T]) -> T:
        for pause in pauses(self._retries):
            try:
                response = await self._http.request(call.method, call.path, params=call.params, **call.sent)
            except httpx.TransportError as error:
                failed, wait = no_answer(self._http, error), pause_without_answer(error, pause)
            else:
                if response.is_success:
                    return read_answer(call, response)
                failed, wait = error_of(response), pause_after(response, pause)
            if wait is None:
                raise failed
            await asyncio.sleep(wait)
        raise AssertionError("the last pause is None")
