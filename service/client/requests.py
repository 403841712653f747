"""Requests of the client: calls, answers, errors, pauses between attempts."""

from __future__ import annotations

import json
import os
import random
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar
from urllib.parse import quote
from uuid import UUID

import httpx

from service.client.options import PinRequest, SearchOptions, SynonymRequest
from service.schemas.base import Answer
from service.schemas.collections import (
    CollectionAnswer,
    CollectionDetails,
    CollectionsAnswer,
    DocumentAnswer,
    DocumentsAnswer,
    JobAnswer,
    TextPartAnswer,
)
from service.schemas.explanations import ExplanationAnswer
from service.schemas.facets import FacetValuesAnswer
from service.schemas.openai import EmbeddingsAnswer
from service.schemas.pages import OverviewAnswer
from service.schemas.pins import PinsAnswer
from service.schemas.problems import ProblemAnswer
from service.schemas.query_log import LoggedQueriesAnswer
from service.schemas.rerank import CohereAnswer, CohereResult
from service.schemas.search import BatchAnswer, SearchAnswer
from service.schemas.suggestions import SuggestAnswer
from service.schemas.synonyms import SynonymsAnswer

T = TypeVar("T")
AnswerT = TypeVar("AnswerT", bound=Answer)
Document = Mapping[str, Any]  # id and text; title, metadata and further fields
Changes = Mapping[str, Any]  # id, and the fields to change; None removes one

Texts: TypeAlias = str | Sequence[str]  # one text, or several

URL_VARIABLE, KEY_VARIABLE, DEFAULT_URL = "ATTENDEX_URL", "ATTENDEX_API_KEY", "http://127.0.0.1:8080"
RETRIED, LONGEST_PAUSE_S = (429, 503), 10.0
UPLOAD_DOCUMENTS, UPLOAD_BYTES = 256, 4_000_000  # of one request
PAGE_DOCUMENTS = 200


class ServiceError(Exception):
    """A failed call: its `status` and `code`, and the `problem` that the service sent."""

    def __init__(self, status: int, detail: str, code: str = "", problem: ProblemAnswer | None = None) -> None:
        super().__init__(f"{status}: {detail}" if status else detail)
        self.status, self.code = status, code
        self.detail = detail
        self.problem = problem


@dataclass(frozen=True, slots=True)
class UploadReport:
    """The result of an upload."""

    added: int = 0
    unchanged: int = 0
    generation: int = 0

    def plus(self, job: JobAnswer) -> UploadReport:
        generation = max(self.generation, job.generation or 0)
        return UploadReport(self.added + job.added, self.unchanged + job.unchanged, generation)


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request, and the function that reads its answer."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    body: Any = None
    params: Mapping[str, Any] | None = None

    @property
    def sent(self) -> dict[str, Any]:
        """The body as JSON, in arguments of httpx; none without a body."""
        if self.body is None:
            return {}
        text = json.dumps(self.body, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_json_value)
        return {"content": text.encode(), "headers": {"Content-Type": "application/json"}}


class Calls:
    """The requests of the service's interface."""

    def collections(self) -> Call[list[CollectionAnswer]]:
        return Call("GET", "/v1/collections", lambda r: CollectionsAnswer.model_validate_json(r.content).collections)

    def collection(self, name: str) -> Call[CollectionDetails]:
        return Call("GET", _path(name), _reads(CollectionDetails))

    def create(
        self, name: str, encoder: str, fields: Mapping[str, str] | None, expires: str
    ) -> Call[CollectionDetails]:
        body = {"encoder": encoder, "fields": fields, "expires": expires}
        return Call("PUT", _path(name), _reads(CollectionDetails), body)

    def drop(self, name: str) -> Call[None]:
        return Call("DELETE", _path(name), lambda _: None)

    def search(self, name: str | Sequence[str], query: str, options: SearchOptions) -> Call[SearchAnswer]:
        body = {"query": query, **options}
        if isinstance(name, str):
            return Call("POST", _path(name, "search"), _reads(SearchAnswer), body)
        return Call("POST", "/v1/search", _reads(SearchAnswer), {**body, "collections": name})

    def search_batch(self, name: str, queries: Sequence[str], options: SearchOptions) -> Call[list[SearchAnswer]]:
        body = {"searches": [{"query": query, **options} for query in queries]}
        return Call(
            "POST", _path(name, "search/batch"), lambda r: BatchAnswer.model_validate_json(r.content).results, body
        )

    def similar(self, name: str, document_id: str, options: SearchOptions) -> Call[SearchAnswer]:
        like = [document_id, *options.get("like", ())]
        return self.search(name, "", {**options, "like": like})

    def suggest(self, name: str, query: str, k: int) -> Call[SuggestAnswer]:
        return Call("GET", _path(name, "suggest"), _reads(SuggestAnswer), params={"q": query, "k": k})

    def facet_values(self, name: str, field: str, params: Mapping[str, Any]) -> Call[FacetValuesAnswer]:
        return Call("GET", _path(name, "facets", field), _reads(FacetValuesAnswer), params=params)

    def synonyms(self, name: str) -> Call[SynonymsAnswer]:
        return Call("GET", _path(name, "synonyms"), _reads(SynonymsAnswer))

    def replace_synonyms(self, name: str, rules: Sequence[SynonymRequest]) -> Call[SynonymsAnswer]:
        return Call("PUT", _path(name, "synonyms"), _reads(SynonymsAnswer), {"synonyms": rules})

    def pins(self, name: str) -> Call[PinsAnswer]:
        return Call("GET", _path(name, "pins"), _reads(PinsAnswer))

    def replace_pins(self, name: str, rules: Sequence[PinRequest]) -> Call[PinsAnswer]:
        return Call("PUT", _path(name, "pins"), _reads(PinsAnswer), {"pins": rules})

    def click(self, name: str, query_id: str, document_id: str, position: int) -> Call[None]:
        body = {"query_id": query_id, "document": document_id, "position": position}
        return Call("POST", _path(name, "events"), lambda _: None, body)

    def queries(self, name: str, problem: str, k: int) -> Call[LoggedQueriesAnswer]:
        return Call("GET", _path(name, "queries"), _reads(LoggedQueriesAnswer), params={"problem": problem, "k": k})

    def document(self, name: str, document_id: str) -> Call[DocumentAnswer]:
        return Call("GET", _path(name, "documents", document_id), _reads(DocumentAnswer))

    def text(self, name: str, document_id: str, start: int, max_tokens: int) -> Call[TextPartAnswer]:
        params = {"id": document_id, "start": start, "max_tokens": max_tokens}
        return Call("GET", _path(name, "text"), _reads(TextPartAnswer), params=params)

    def overview(self, name: str) -> Call[OverviewAnswer]:
        return Call("GET", _path(name, "overview"), _reads(OverviewAnswer))

    def explain(self, name: str, query: str, document_id: str) -> Call[ExplanationAnswer]:
        body = {"query": query, "id": document_id}
        return Call("POST", _path(name, "explain"), _reads(ExplanationAnswer), body)

    def documents(self, name: str, filter_: str, sort: str, offset: int) -> Call[DocumentsAnswer]:
        params = {"filter": filter_, "sort": sort, "offset": offset, "limit": PAGE_DOCUMENTS}
        return Call("GET", _path(name, "documents"), _reads(DocumentsAnswer), params=params)

    def add(self, name: str, documents: Sequence[Document], wait: bool) -> Call[JobAnswer]:
        return Call("POST", _path(name, "documents"), _reads(JobAnswer), {"documents": documents}, {"wait": wait})

    def update(self, name: str, changes: Sequence[Changes], wait: bool) -> Call[JobAnswer]:
        return Call("PATCH", _path(name, "documents"), _reads(JobAnswer), {"documents": changes}, {"wait": wait})

    def delete(self, name: str, ids: Sequence[str], filter_: str, wait: bool) -> Call[JobAnswer]:
        body = {"ids": ids, "filter": filter_}
        return Call("POST", _path(name, "documents/delete"), _reads(JobAnswer), body, {"wait": wait})

    def job(self, name: str, job_id: str) -> Call[JobAnswer]:
        return Call("GET", _path(name, "jobs", job_id), _reads(JobAnswer))

    def embed(self, texts: Sequence[str], model: str, queries: bool) -> Call[list[list[float]]]:
        body = {"input": texts, "model": model, "input_type": "query" if queries else "document"}
        return Call("POST", "/v1/embeddings", _vectors, body)

    def rerank(self, query: str, documents: Sequence[str], top_n: int | None) -> Call[list[CohereResult]]:
        body = {"query": query, "documents": documents, "top_n": top_n}
        return Call("POST", "/v2/rerank", lambda r: CohereAnswer.model_validate_json(r.content).results, body)


def _json_value(value: Any) -> Any:
    """Return a value of Python's as JSON: dates and UUIDs as text, numbers of numpy."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} {value!r} has no form in JSON; convert it to text or a number")


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
    """Return a quoted path part; slashes in it cannot lead to another path."""
    return "/".join(map(_segment, part.split("/")))


def _segment(text: str) -> str:
    quoted = quote(text, safe="")
    return quoted.replace(".", "%2E") if quoted in (".", "..") else quoted


def listed(texts: Texts) -> list[str]:
    """Return the texts as a list, also a single one."""
    return [texts] if isinstance(texts, str) else list(texts)


def _reads(answer: type[AnswerT]) -> Callable[[httpx.Response], AnswerT]:
    return lambda response: answer.model_validate_json(response.content)


def _vectors(response: httpx.Response) -> list[list[float]]:
    found = EmbeddingsAnswer.model_validate_json(response.content).data
    return [answer.embedding for answer in found if not isinstance(answer.embedding, str)]


def done(job: JobAnswer) -> JobAnswer:
    if job.status == "failed":
        raise ServiceError(0, f"the change failed: {job.error}", job.code)
    return job


def pauses(retries: int) -> Iterator[float | None]:
    """Yield growing, random seconds to wait after attempts; None after the last."""
    for attempt in range(retries):
        yield random.uniform(0.5, 1.0) * min(LONGEST_PAUSE_S, 0.2 * 2.0**attempt)
    yield None


def pause_after(response: httpx.Response, pause: float | None) -> float | None:
    """Return the seconds until the next attempt; None for a final refusal."""
    if pause is None or response.status_code not in RETRIED or error_of(response).code == "deadline_exceeded":
        return None
    retry_after = response.headers.get("retry-after", "")
    return pause + min(float(retry_after), LONGEST_PAUSE_S) if retry_after.isdigit() else pause


def pause_without_answer(error: httpx.TransportError, pause: float | None) -> float | None:
    """Return the seconds until the next attempt; None after a timeout."""
    waited = isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout)
    return None if waited else pause  # the same request would take too long again


def read_answer(call: Call[T], response: httpx.Response) -> T:
    """Return the answer of a call.  Raises ServiceError if it has another form."""
    try:
        return call.read(response)
    except ValueError as error:
        detail = f"{response.url} does not answer as the service does; it may be another server: check the address"
        raise ServiceError(response.status_code, detail, "not_understood") from error


def error_of(response: httpx.Response) -> ServiceError:
    """Return the error of an answer, in any dialect."""
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
    """Return the error for a transport error."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        detail = f"{http.base_url} cannot be reached ({error}); start it with `attendex serve`, or check the address"
        return ServiceError(0, detail, "unreachable")
    reason = str(error) or type(error).__name__
    return ServiceError(0, f"{http.base_url} gave no answer ({reason}); raise timeout_s to wait longer", "no_answer")


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
