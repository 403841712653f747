"""What a service can be asked, apart from how it is sent: requests, answers, errors, pauses between attempts."""

from __future__ import annotations

import json
import os
import random
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeAlias, TypedDict, TypeVar
from urllib.parse import quote

import httpx

from service.schemas.collections import (
    CollectionAnswer,
    CollectionDetails,
    CollectionsAnswer,
    DocumentAnswer,
    DocumentsAnswer,
    JobAnswer,
)
from service.schemas.openai import EmbeddingsAnswer
from service.schemas.problems import ProblemAnswer
from service.schemas.rerank import CohereAnswer, CohereResult
from service.schemas.search import BatchAnswer, SearchAnswer

T = TypeVar("T")
Document = Mapping[str, Any]  # id, text, and what else there is: title, metadata, fields

Texts: TypeAlias = str | Sequence[str]  # several, or one

URL_VARIABLE, KEY_VARIABLE, DEFAULT_URL = "ATTENDEX_URL", "ATTENDEX_API_KEY", "http://127.0.0.1:8080"
RETRIED, LONGEST_PAUSE_S = (429, 503), 10.0
UPLOAD_DOCUMENTS, UPLOAD_BYTES = 256, 4_000_000  # of one request
PAGE_DOCUMENTS = 200


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
    fusion: str  # a method of the service; its API description lists them
    weight: float
    rrf_k: int
    facets: Sequence[str]
    sort: str
    min_score: float
    passages_per_document: int
    fields: Sequence[str]
    highlight: bool
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
class Call(Generic[T]):
    """A request, and how its answer is read."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    body: Any = None
    params: Mapping[str, Any] | None = None


class Calls:
    """What can be asked, apart from how it is sent."""

    def collections(self) -> Call[list[CollectionAnswer]]:
        return Call("GET", "/v1/collections", lambda r: CollectionsAnswer.model_validate_json(r.content).collections)

    def collection(self, name: str) -> Call[CollectionDetails]:
        return Call("GET", _path(name), lambda r: CollectionDetails.model_validate_json(r.content))

    def create(self, name: str, encoder: str, fields: Mapping[str, str] | None) -> Call[CollectionDetails]:
        body = {"encoder": encoder, "fields": fields}
        return Call("PUT", _path(name), lambda r: CollectionDetails.model_validate_json(r.content), body)

    def drop(self, name: str) -> Call[None]:
        return Call("DELETE", _path(name), lambda _: None)

    def search(self, name: str, query: str, options: SearchOptions) -> Call[SearchAnswer]:
        body = {"query": query, **options}
        return Call("POST", _path(name, "search"), lambda r: SearchAnswer.model_validate_json(r.content), body)

    def search_batch(self, name: str, queries: Sequence[str], options: SearchOptions) -> Call[list[SearchAnswer]]:
        body = {"searches": [{"query": query, **options} for query in queries]}
        return Call(
            "POST", _path(name, "search/batch"), lambda r: BatchAnswer.model_validate_json(r.content).results, body
        )

    def document(self, name: str, document_id: str) -> Call[DocumentAnswer]:
        return Call(
            "GET", _path(name, "documents", document_id), lambda r: DocumentAnswer.model_validate_json(r.content)
        )

    def documents(self, name: str, filter_: str, offset: int) -> Call[DocumentsAnswer]:
        params = {"filter": filter_, "offset": offset, "limit": PAGE_DOCUMENTS}
        return Call("GET", _path(name, "documents"), _page, params=params)

    def add(self, name: str, documents: Sequence[Document], wait: bool) -> Call[JobAnswer]:
        return Call("POST", _path(name, "documents"), _job, {"documents": documents}, {"wait": wait})

    def delete(self, name: str, ids: Sequence[str], filter_: str, wait: bool) -> Call[JobAnswer]:
        return Call("POST", _path(name, "documents/delete"), _job, {"ids": ids, "filter": filter_}, {"wait": wait})

    def job(self, name: str, job_id: str) -> Call[JobAnswer]:
        return Call("GET", _path(name, "jobs", job_id), _job)

    def embed(self, texts: Sequence[str], model: str, queries: bool) -> Call[list[list[float]]]:
        body = {"input": texts, "model": model, "input_type": "query" if queries else "document"}
        return Call("POST", "/v1/embeddings", _vectors, body)

    def rerank(self, query: str, documents: Sequence[str], top_n: int | None) -> Call[list[CohereResult]]:
        body = {"query": query, "documents": documents, "top_n": top_n}
        return Call("POST", "/v2/rerank", lambda r: CohereAnswer.model_validate_json(r.content).results, body)


def connection(url: str | None, key: str | None, timeout_s: float) -> dict[str, Any]:
    key = key or os.environ.get(KEY_VARIABLE)
    return {
        "base_url": url or os.environ.get(URL_VARIABLE) or DEFAULT_URL,
        "headers": {"Authorization": f"Bearer {key}"} if key else {},
        "timeout": timeout_s,
    }


def _path(collection: str, *parts: str) -> str:
    return "/".join(["/v1/collections", _segment(collection), *(_segments(part) for part in parts)])


def _segments(part: str) -> str:
    """A part with slashes in it, none of which leads anywhere else."""
    return "/".join(map(_segment, part.split("/")))


def _segment(text: str) -> str:
    quoted = quote(text, safe="")
    return quoted.replace(".", "%2E") if quoted in (".", "..") else quoted


def listed(texts: Texts) -> list[str]:
    """Texts as a list, also where a single one was given."""
    return [texts] if isinstance(texts, str) else list(texts)


def _job(response: httpx.Response) -> JobAnswer:
    return JobAnswer.model_validate_json(response.content)


def _page(response: httpx.Response) -> DocumentsAnswer:
    return DocumentsAnswer.model_validate_json(response.content)


def _vectors(response: httpx.Response) -> list[list[float]]:
    found = EmbeddingsAnswer.model_validate_json(response.content).data
    return [each.embedding for each in found if not isinstance(each.embedding, str)]


def done(job: JobAnswer) -> JobAnswer:
    if job.status == "failed":
        raise ServiceError(0, f"the change failed: {job.error}", job.code)
    return job


def pauses(retries: int) -> Iterator[float | None]:
    """Seconds to wait after each attempt, longer each time and never two callers alike; None after the last."""
    for attempt in range(retries):
        yield random.uniform(0.5, 1.0) * min(LONGEST_PAUSE_S, 0.2 * 2.0**attempt)
    yield None


def pause_after(response: httpx.Response, pause: float | None) -> float | None:
    """How long to wait before the next attempt; None for a refusal that will not change."""
    if pause is None or response.status_code not in RETRIED or error_of(response).code == "deadline_exceeded":
        return None
    asked = response.headers.get("retry-after", "")
    return pause + min(float(asked), LONGEST_PAUSE_S) if asked.isdigit() else pause


def pause_without_answer(error: httpx.TransportError, pause: float | None) -> float | None:
    """The same where no answer came: what took too long once will do so again."""
    waited = isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout)
    return None if waited else pause


def read_answer(call: Call[T], response: httpx.Response) -> T:
    """What was asked for.  Raises ServiceError where that is not what came."""
    try:
        return call.read(response)
    except ValueError as error:
        detail = f"{response.url} did not answer as the service does; is it another server's address?"
        raise ServiceError(response.status_code, detail, "not_understood") from error


def error_of(response: httpx.Response) -> ServiceError:
    """The error of an answer: a problem document, OpenAI's or Cohere's form, or whatever there is."""
    try:
        problem = ProblemAnswer.model_validate_json(response.content)
    except ValueError:
        return _foreign_error(response)
    return ServiceError(response.status_code, problem.detail, problem.code, problem)


def _foreign_error(response: httpx.Response) -> ServiceError:
    try:
        content = response.json()
        error = content.get("error", content)
        return ServiceError(response.status_code, str(error["message"]), str(error.get("code", "")))
    except (ValueError, AttributeError, KeyError, TypeError):
        return ServiceError(response.status_code, response.text[:500] or response.reason_phrase)


def no_answer(http: Any, error: httpx.TransportError) -> ServiceError:
    """The error where there is no answer."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        detail = f"{http.base_url} cannot be reached ({error}); is `attendex serve` running?"
        return ServiceError(0, detail, "unreachable")
    reason = str(error) or type(error).__name__
    return ServiceError(0, f"{http.base_url} gave no answer ({reason}); timeout_s says how long to wait", "no_answer")


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


def parts_of(documents: Iterable[Document]) -> Iterator[list[Document]]:
    part = _Part()
    for document in documents:
        if finished := part.take(document):
            yield finished
    if part.documents:
        yield part.documents


async def parts_async(documents: Iterable[Document] | AsyncIterable[Document]) -> AsyncIterator[list[Document]]:
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
