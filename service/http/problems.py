"""One table from exception to status and code, and the error bodies of each protocol that the service speaks.

Native routes answer with RFC 9457 problem documents.  Routes that speak another protocol answer as their clients
expect: OpenAI's `{"error": {...}}`, TEI's `{"error", "error_type"}`, Cohere's `{"message"}`.  Details of failures of
ours name no file and no stack; those go to the log, under the request's id.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

import orjson
from starlette.responses import Response

from retrieval import errors

PROBLEM_JSON = "application/problem+json"
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """What is wrong with one part of a request: a JSON pointer into the body, or the parameter's name."""

    pointer: str
    detail: str


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as the caller sees it, whatever the protocol."""

    status: int
    code: str
    detail: str
    errors: tuple[FieldProblem, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProblemRule:
    """How one class of exception is answered; `detail` replaces a message that callers must not see."""

    status: int
    code: str
    detail: str = ""


_OPERATOR = "The operator finds the cause in the service's log under this request's id."

# The first class that fits wins: subclasses stand before their bases.
RULES: tuple[tuple[type[Exception], ProblemRule], ...] = (
    (errors.BadQuery, ProblemRule(400, "bad_query")),
    (errors.FilterError, ProblemRule(400, "bad_filter")),
    (errors.BadDocument, ProblemRule(400, "bad_document")),
    (errors.SchemaError, ProblemRule(400, "bad_schema")),
    (errors.EmptyInput, ProblemRule(400, "empty_input")),
    (errors.TooLarge, ProblemRule(413, "too_large")),
    (errors.InputError, ProblemRule(400, "bad_input")),
    (errors.CollectionNotFound, ProblemRule(404, "collection_not_found")),
    (errors.DocumentNotFound, ProblemRule(404, "document_not_found")),
    (errors.JobNotFound, ProblemRule(404, "job_not_found")),
    (errors.NotFound, ProblemRule(404, "not_found")),
    (errors.Unauthenticated, ProblemRule(401, "unauthenticated")),
    (errors.Forbidden, ProblemRule(403, "forbidden")),
    (
        errors.UnsupportedCheckpoint,
        ProblemRule(400, "unsupported_encoder", "That encoder cannot be used here. " + _OPERATOR),
    ),
    (
        errors.EncoderMismatch,
        ProblemRule(409, "encoder_mismatch", "Another encoder made this collection. " + _OPERATOR),
    ),
    (errors.EncoderError, ProblemRule(500, "encoder_failed", "The encoder failed. " + _OPERATOR)),
    (errors.CollectionExists, ProblemRule(409, "collection_exists")),
    (
        errors.CollectionLocked,
        ProblemRule(409, "collection_locked", "Another writer is changing this collection; try again."),
    ),
    (
        errors.CorruptCollection,
        ProblemRule(503, "collection_damaged", "The collection's files are damaged. " + _OPERATOR),
    ),
    (
        errors.StorageError,
        ProblemRule(507, "storage", "The storage refused the change; nothing was changed. " + _OPERATOR),
    ),
    (errors.CollectionError, ProblemRule(503, "collection_unavailable", "The collection cannot be used. " + _OPERATOR)),
    (errors.RateLimited, ProblemRule(429, "rate_limited")),
    (errors.Overloaded, ProblemRule(429, "overloaded")),
    (errors.DeadlineExceeded, ProblemRule(503, "deadline_exceeded")),
    (errors.MissingExtra, ProblemRule(501, "not_installed")),
)
STATUS_CODES = {  # of errors that the framework raises
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    503: "unavailable",
}
INTERNAL = ProblemRule(500, "internal", "Something went wrong here. " + _OPERATOR)


def problem_of(error: Exception) -> Problem:
    """The problem that tells a caller about `error`."""
    rule = next((rule for kind, rule in RULES if isinstance(error, kind)), INTERNAL)
    headers = {"Retry-After": str(error.retry_after_s)} if isinstance(error, errors.Overloaded) else {}
    if rule.status == 401:
        headers = {"WWW-Authenticate": "Bearer"}
    return Problem(rule.status, rule.code, rule.detail or str(error), headers=headers)


def problem_of_status(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Problem:
    """The problem for a bare HTTP status, as the framework raises them."""
    code = STATUS_CODES.get(status, "http_error")
    return Problem(status, code, detail or HTTPStatus(status).phrase, headers=headers or {})


def problem_of_validation(found: Sequence[Mapping[str, Any]]) -> Problem:
    """The problem for a request that does not fit its schema; what was sent is not repeated."""
    fields = tuple(FieldProblem(_pointer(each["loc"]), _sentence(each)) for each in found[:20])
    if any(each["type"] == "json_invalid" for each in found):
        return Problem(400, "bad_json", f"The request body is not valid JSON: {fields[0].detail}.", fields)
    named = "; ".join(f"{each.pointer}: {each.detail}" for each in fields[:3])
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return Problem(422, "invalid_request", f"The request does not fit its schema: {named}{more}.", fields)


def _pointer(location: Sequence[str | int]) -> str:
    place, *rest = [str(part).replace("~", "~0").replace("/", "~1") for part in location] or [""]
    return "#/" + "/".join(rest) if place == "body" else "/".join(rest) or place


def _sentence(found: Mapping[str, Any]) -> str:
    if found["type"] == "json_invalid":
        return f"{found['ctx']['error']} at character {found['loc'][-1]}"
    if found["type"] == "model_attributes_type" and tuple(found["loc"]) == ("body",):
        return "must be a JSON object, sent with the header content-type: application/json"
    return str(found["msg"]).removeprefix("Value error, ").encode("utf-8", "replace").decode()


Dialect = Callable[[Problem, str, str], Response]  # (problem, path, request id)


def render(problem: Problem, path: str, request_id: str = "") -> Response:
    """The answer for `problem`, in the dialect of the route at `path`."""
    return dialect_of(path)(problem, path, request_id)


def native(problem: Problem, path: str, request_id: str) -> Response:
    """RFC 9457, with our `code`, `request_id` and `errors` as extension members."""
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
    return _answer(problem, content, PROBLEM_JSON)


def openai(problem: Problem, path: str, request_id: str) -> Response:  # noqa: ARG001
    """OpenAI's error object."""
    problem = _bad_request(problem)
    kinds = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
    kind = kinds.get(problem.status, "invalid_request_error" if problem.status < 500 else "server_error")
    named = problem.errors if problem.code != "bad_json" else ()
    pointer = named[0].pointer.removeprefix("#/").split("/")[0] if named else None
    error = {"message": problem.detail, "type": kind, "param": pointer, "code": problem.code}
    return _answer(problem, {"error": error})


def tei(problem: Problem, path: str, request_id: str) -> Response:  # noqa: ARG001
    """Text Embeddings Inference's error object; its 401 has no body."""
    if problem.status == 401:
        return Response(status_code=401, headers=dict(problem.headers))
    if problem.status == 400 and problem.code != "empty_input":
        problem = replace(problem, status=422)
    kinds = {400: "Empty", 424: "Backend", 429: "Overloaded", 500: "Backend", 503: "Unhealthy"}
    kind = kinds.get(problem.status, "Validation")
    return _answer(problem, {"error": problem.detail, "error_type": kind})


def cohere(problem: Problem, path: str, request_id: str) -> Response:  # noqa: ARG001
    """Cohere's error object."""
    problem = _bad_request(problem)
    return _answer(problem, {"id": request_id, "message": problem.detail})


DIALECTS: tuple[tuple[re.Pattern[str], Dialect], ...] = (
    (re.compile(r"/v1/(embeddings|models)(/|$)"), openai),
    (re.compile(r"/v[12]/rerank$"), cohere),
    (re.compile(r"/(embed|embed_all|similarity|tokenize|info|health|rerank)?$"), tei),
)


def dialect_of(path: str) -> Dialect:
    """The dialect that callers of `path` understand."""
    return next((dialect for pattern, dialect in DIALECTS if pattern.match(path)), native)


def _bad_request(problem: Problem) -> Problem:
    """OpenAI and Cohere answer a body that does not fit its schema with 400."""
    return replace(problem, status=400) if problem.status == 422 else problem


def _answer(problem: Problem, content: Mapping[str, Any], media_type: str = JSON) -> Response:
    return Response(orjson.dumps(content), problem.status, headers=dict(problem.headers), media_type=media_type)
