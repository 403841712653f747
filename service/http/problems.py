"""Errors as HTTP responses: the status, code and body of each exception.

One table maps exceptions to statuses and codes; each dialect has its own body. Native routes answer with RFC 9457
problem documents. Routes of another protocol answer as the clients of that protocol expect: OpenAI's
`{"error": {...}}`, TEI's `{"error", "error_type"}`, Cohere's `{"message"}`. The class of a route carries its dialect.
The detail of an internal failure names no file and no stack frame: the log has both, under the request's id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

import orjson
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Scope

from retrieval import errors
from service.client.answers.base import Answer
from service.client.answers.problems import ProblemAnswer
from service.schemas.problems import CohereErrorAnswer, OpenAIErrorAnswer, TeiErrorAnswer

PROBLEM_JSON = "application/problem+json"
JSON = "application/json"
ALTERNATIVES = frozenset({"constrained-str", "list[constrained-str]"})  # of a union: in locations, not in the body
MAX_FIELD_PROBLEMS = 20  # in one problem document
MAX_PART_CHARACTERS = 300  # of the pointer and the detail of one field
MAX_DETAIL_CHARACTERS = 4_000  # a detail may repeat a value of the request


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """An error in one part of a request: JSON pointer, or name of a parameter."""

    pointer: str
    detail: str


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as the caller sees it, in no dialect yet."""

    status: int
    code: str
    detail: str
    errors: tuple[FieldProblem, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProblemRule:
    """Status and code of an exception class; `detail` hides the exception's message."""

    status: int
    code: str
    detail: str = ""


UNAVAILABLE_ENCODER = "The remote encoder gives no vectors now; search in the mode lexical, or try again later. "
_HINT = "The operator finds the cause in the service's log under this request's id."

# The first class that fits wins: a subclass stands before its base class.
RULES: tuple[tuple[type[Exception], ProblemRule], ...] = (
    (errors.BadQuery, ProblemRule(400, "bad_query")),
    (errors.FilterError, ProblemRule(400, "bad_filter")),
    (errors.BadDocument, ProblemRule(400, "bad_document")),
    (errors.SchemaError, ProblemRule(400, "bad_schema")),
    (errors.EmptyInput, ProblemRule(400, "empty_input")),
    (errors.TooLarge, ProblemRule(413, "too_large")),
    (errors.StaleCursor, ProblemRule(409, "stale_cursor")),
    (errors.ContentChanged, ProblemRule(412, "content_changed")),
    (errors.InputError, ProblemRule(400, "bad_input")),
    (errors.CollectionNotFound, ProblemRule(404, "collection_not_found")),
    (errors.DocumentNotFound, ProblemRule(404, "document_not_found")),
    (errors.JobNotFound, ProblemRule(404, "job_not_found")),
    (errors.NotFound, ProblemRule(404, "not_found")),
    (errors.Unauthenticated, ProblemRule(401, "unauthenticated")),
    (errors.Forbidden, ProblemRule(403, "forbidden")),
    (errors.UnsupportedCheckpoint, ProblemRule(400, "unsupported_encoder", "That encoder cannot be used. " + _HINT)),
    (errors.EncoderMismatch, ProblemRule(409, "encoder_mismatch", "Another encoder made this collection. " + _HINT)),
    (errors.EncoderUnavailable, ProblemRule(503, "encoder_unavailable", UNAVAILABLE_ENCODER + _HINT)),
    (errors.EncoderError, ProblemRule(500, "encoder_failed", "The encoder failed. " + _HINT)),
    (errors.CollectionExists, ProblemRule(409, "collection_exists")),
    (errors.CollectionLocked, ProblemRule(409, "collection_locked", "Another writer is active; try again.")),
    (errors.CorruptCollection, ProblemRule(503, "collection_damaged", "The collection's files are damaged. " + _HINT)),
    (errors.StorageError, ProblemRule(507, "storage", "The storage refused the change; nothing was changed. " + _HINT)),
    (errors.CollectionError, ProblemRule(503, "collection_unavailable", "The collection cannot be used. " + _HINT)),
    (errors.GenerationNotServed, ProblemRule(409, "generation_not_served")),
    (errors.RateLimited, ProblemRule(429, "rate_limited")),
    (errors.Overloaded, ProblemRule(429, "overloaded")),
    (errors.ShardUnavailable, ProblemRule(503, "shard_unavailable")),
    (errors.DeadlineExceeded, ProblemRule(503, "deadline_exceeded")),
    (errors.ModelTimeout, ProblemRule(504, "model_timeout")),
    (errors.ModelError, ProblemRule(502, "model_failed")),
    (errors.MissingExtra, ProblemRule(501, "not_installed")),
)
STATUS_CODES = {  # of the errors that the framework raises
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    414: "address_too_long",
    421: "other_host",
    431: "headers_too_large",
    503: "unavailable",
}
RETRIED = errors.Overloaded | errors.ModelError | errors.ShardUnavailable
INTERNAL = ProblemRule(500, "internal", "The service failed to answer this request. " + _HINT)


def problem_of(error: Exception) -> Problem:
    rule = next((rule for kind, rule in RULES if isinstance(error, kind)), INTERNAL)
    retry_after_s = error.retry_after_s if isinstance(error, RETRIED) else None
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    if rule.status == 401:
        headers = {"WWW-Authenticate": "Bearer"}
    return Problem(rule.status, rule.code, rule.detail or _shortened(str(error)), headers=headers)


def _shortened(text: str, maximum: int = MAX_DETAIL_CHARACTERS) -> str:
    """Return the text without its middle if it is longer than `maximum`."""
    half = maximum // 2
    return text if len(text) <= maximum else f"{text[:half]} … {text[-half:]}"


def problem_of_status(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Problem:
    """Return the problem for a bare HTTP status, as the framework raises them."""
    code = STATUS_CODES.get(status, "http_error")
    return Problem(status, code, detail or HTTPStatus(status).phrase, headers=headers or {})


def problem_of_validation(found: Sequence[Mapping[str, Any]]) -> Problem:
    """Return the problem for validation errors, without the values that were sent."""
    fields = tuple(FieldProblem(_pointer(error["loc"]), _sentence(error)) for error in found[:MAX_FIELD_PROBLEMS])
    if any(error["type"] == "json_invalid" for error in found):
        return Problem(400, "bad_json", f"The request body is not valid JSON: {fields[0].detail}.", fields)
    named = "; ".join(f"{problem.pointer}: {problem.detail}" for problem in fields[:3])
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    end = "" if f"{named}{more}".endswith("?") else "."
    return Problem(422, "invalid_request", f"The request does not fit its schema: {named}{more}{end}", fields)


def _pointer(location: Sequence[str | int]) -> str:
    named = [str(step) for step in location if step not in ALTERNATIVES]
    source, *steps = [step.replace("~", "~0").replace("/", "~1") for step in named] or [""]
    pointer = "#/" + "/".join(steps) if source == "body" else "/".join(steps) or source
    return _shortened(pointer, MAX_PART_CHARACTERS)


def _sentence(found: Mapping[str, Any]) -> str:
    if found["type"] == "json_invalid":
        return f"{found['ctx']['error']} at character {found['loc'][-1]}"
    if found["type"] == "model_attributes_type" and tuple(found["loc"]) == ("body",):
        return "must be a JSON object, sent with the header content-type: application/json"
    message = _shortened(str(found["msg"]).removeprefix("Value error, "), MAX_PART_CHARACTERS)
    return message.encode("utf-8", "replace").decode()


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a protocol writes errors: `respond` takes problem, request path and id."""

    respond: Callable[[Problem, str, str], Response]
    schema: type[Answer]
    media_type: str = JSON
    without_body: frozenset[int] = frozenset()  # statuses


def native_content(problem: Problem, path: str, request_id: str) -> dict[str, Any]:
    """Return the members of an RFC 9457 document and our three extensions."""
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "instance": path,
        "code": problem.code,
    }
    if request_id:
        content["request_id"] = request_id
    if problem.errors:
        content["errors"] = problem.errors
    return content


def _native_error(problem: Problem, path: str, request_id: str) -> Response:
    return _json(problem, native_content(problem, path, request_id), PROBLEM_JSON)


def _openai_error(problem: Problem, _path: str, _request_id: str) -> Response:
    problem = _bad_request(problem)
    kinds = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
    kind = kinds.get(problem.status, "invalid_request_error" if problem.status < 500 else "server_error")
    named = problem.errors if problem.code != "bad_json" else ()
    parameter = named[0].pointer.removeprefix("#/").split("/")[0] if named else None
    error = {"message": problem.detail, "type": kind, "param": parameter, "code": problem.code}
    return _json(problem, {"error": error})


def _tei_error(problem: Problem, _path: str, _request_id: str) -> Response:
    if problem.status in TEI.without_body:
        return Response(status_code=problem.status, headers=dict(problem.headers))
    if problem.status == 400 and problem.code != "empty_input":
        problem = replace(problem, status=422)
    kinds = {400: "Empty", 424: "Backend", 429: "Overloaded", 500: "Backend", 503: "Unhealthy"}
    kind = kinds.get(problem.status, "Validation")
    return _json(problem, {"error": problem.detail, "error_type": kind})


def _cohere_error(problem: Problem, _path: str, request_id: str) -> Response:
    problem = _bad_request(problem)
    return _json(problem, {"id": request_id, "message": problem.detail})


def _bad_request(problem: Problem) -> Problem:
    """Return 400 for 422, as OpenAI and Cohere answer for invalid bodies."""
    return replace(problem, status=400) if problem.status == 422 else problem


def _json(problem: Problem, content: Mapping[str, Any], media_type: str = JSON) -> Response:
    return Response(orjson.dumps(content), problem.status, headers=dict(problem.headers), media_type=media_type)


NATIVE = Dialect(_native_error, ProblemAnswer, PROBLEM_JSON)
OPENAI = Dialect(_openai_error, OpenAIErrorAnswer)
TEI = Dialect(_tei_error, TeiErrorAnswer, without_body=frozenset({401}))
COHERE = Dialect(_cohere_error, CohereErrorAnswer)


class DialectTable:
    """The dialects of paths, for errors before a route is matched.

    The table is read from the routes. A path that no route matches has the dialect of the route that it continues by
    whole segments, else the native one.
    """

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._dialects: dict[str, Dialect] = {}  # by the part of a route's path that stands before its parameters
        for route in routes:
            dialect: Dialect = getattr(route, "dialect", NATIVE)
            if dialect is not NATIVE:
                self._dialects.setdefault(getattr(route, "path", "").partition("/{")[0], dialect)

    def of(self, path: str) -> Dialect:
        while path and path not in self._dialects:
            path = path.rpartition("/")[0]
        return self._dialects.get(path, NATIVE)


def render(problem: Problem, scope: Scope) -> Response:
    """Return the response for a problem, in the dialect of the request's route."""
    dialect: Dialect | None = getattr(scope.get("route"), "dialect", None)
    if dialect is None:
        dialect = scope["app"].state.dialects.of(scope["path"])
    return dialect.respond(problem, scope["path"], scope["state"]["request_id"])
