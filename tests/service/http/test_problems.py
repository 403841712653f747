"""One table from exception to answer, and one form of error for each dialect."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.responses import Response

from retrieval import errors
from service.http.problems import (
    COHERE,
    NATIVE,
    OPENAI,
    RULES,
    TEI,
    Dialect,
    DialectTable,
    FieldProblem,
    Problem,
    problem_of,
    problem_of_status,
    problem_of_validation,
    render,
)
from service.routes.openai import OpenAIRoute
from service.routes.tei import TeiRoute


def body(response: Response) -> Any:
    return json.loads(bytes(response.body))


@pytest.mark.parametrize(
    ("error", "status", "code", "detail"),
    [
        (errors.BadQuery("k is 0"), 400, "bad_query", "k is 0"),
        (errors.TooLarge("9 texts"), 413, "too_large", "9 texts"),
        (errors.InputError("no"), 400, "bad_input", "no"),
        (errors.CollectionNotFound("no collection 'x'"), 404, "collection_not_found", "no collection 'x'"),
        (errors.DeadlineExceeded("30 s"), 503, "deadline_exceeded", "30 s"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_exception_has_a_status_a_code_and_its_message(
    error: Exception, status: int, code: str, detail: str
) -> None:
    assert problem_of(error) == Problem(status, code, detail)


@pytest.mark.parametrize("kind", [OSError, errors.EncoderError, errors.CollectionError])
def test_the_message_of_an_internal_failure_is_not_shown(kind: type[Exception]) -> None:
    problem = problem_of(kind("/secret"))
    assert problem.status >= 500
    assert "/secret" not in problem.detail
    assert "log" in problem.detail


def test_an_overloaded_service_says_when_to_try_again() -> None:
    assert problem_of(errors.Overloaded("full")).headers == {"Retry-After": "1"}
    assert problem_of(errors.RateLimited("too often", retry_after_s=7)).headers == {"Retry-After": "7"}
    assert problem_of(errors.Unauthenticated("no key")).headers == {"WWW-Authenticate": "Bearer"}


def test_a_subclass_stands_before_its_base() -> None:
    kinds = [kind for kind, _ in RULES]
    hidden = [(a, b) for place, a in enumerate(kinds) for b in kinds[place + 1 :] if issubclass(b, a)]
    assert hidden == []


def test_a_bare_status_has_a_code_and_a_phrase() -> None:
    assert problem_of_status(404, "") == Problem(404, "not_found", "Not Found")
    assert problem_of_status(418, "tea") == Problem(418, "http_error", "tea")


def test_validation_errors_become_json_pointers() -> None:
    problem = problem_of_validation(
        [
            {"loc": ("body", "a/b", 0), "type": "missing", "msg": "Field required"},
            {"loc": ("query", "k"), "type": "value_error", "msg": "Value error, is too large"},
            {"loc": ("body",), "type": "model_attributes_type", "msg": "…"},
            {"loc": ("body", "x"), "type": "missing", "msg": "Field required"},
        ]
    )
    assert (problem.status, problem.code) == (422, "invalid_request")
    assert problem.errors[0] == FieldProblem("#/a~1b/0", "Field required")
    assert problem.errors[1] == FieldProblem("k", "is too large")
    assert "content-type: application/json" in problem.errors[2].detail
    assert problem.detail.endswith("and 1 more.")


def test_a_body_that_is_no_json_is_named() -> None:
    found = {"loc": ("body", 3), "type": "json_invalid", "msg": "JSON decode error", "ctx": {"error": "bad"}}
    problem = problem_of_validation([found])
    assert (problem.status, problem.code) == (400, "bad_json")
    assert problem.detail == "The request body is not valid JSON: bad at character 3."


INVALID = Problem(422, "invalid_request", "k: too large", (FieldProblem("#/input/0", "too large"),))
EXPECTED: list[tuple[Dialect, int, dict[str, Any]]] = [
    (
        OPENAI,
        400,
        {
            "error": {
                "message": "k: too large",
                "type": "invalid_request_error",
                "param": "input",
                "code": "invalid_request",
            }
        },
    ),
    (TEI, 422, {"error": "k: too large", "error_type": "Validation"}),
    (COHERE, 400, {"id": "r-1", "message": "k: too large"}),
    (
        NATIVE,
        422,
        {
            "type": "about:blank",
            "title": "Unprocessable Content",
            "status": 422,
            "detail": "k: too large",
            "instance": "/x",
            "code": "invalid_request",
            "request_id": "r-1",
            "errors": [{"pointer": "#/input/0", "detail": "too large"}],
        },
    ),
]


@pytest.mark.parametrize(("dialect", "status", "content"), EXPECTED, ids=["openai", "tei", "cohere", "native"])
def test_each_dialect_has_its_own_body(dialect: Dialect, status: int, content: dict[str, Any]) -> None:
    response = dialect.respond(INVALID, "/x", "r-1")
    found = body(response)
    found.pop("title", None)  # of 422: the phrase depends on the version of Python
    assert (response.status_code, found) == (status, {k: v for k, v in content.items() if k != "title"})
    assert response.media_type == dialect.media_type
    dialect.schema.model_validate(body(response), extra="forbid")


def test_tei_has_no_body_for_a_missing_key() -> None:
    response = TEI.respond(Problem(401, "unauthenticated", "no key"), "/embed", "")
    assert (response.status_code, response.body) == (401, b"")


@pytest.fixture
def app() -> FastAPI:
    """Return an application with a route of each kind."""
    app = FastAPI()
    openai, tei, native = APIRouter(route_class=OpenAIRoute), APIRouter(route_class=TeiRoute), APIRouter()
    openai.add_api_route("/v1/models/{model:path}", lambda: None)
    tei.add_api_route("/", lambda: None, methods=["POST"])
    tei.add_api_route("/embed", lambda: None)
    native.add_api_route("/v1/collections/{name}", lambda: None)
    for router in (openai, tei, native):
        app.include_router(router)
    app.state.dialects = DialectTable([*openai.routes, *tei.routes, *native.routes])
    return app


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/v1/models/a/b", OPENAI),
        ("/v1/models", OPENAI),
        ("/v1/modelsandmore", NATIVE),
        ("/embed", TEI),
        ("/embed/more", TEI),
        ("/", TEI),
        ("/nothing", NATIVE),
        ("/v1/collections/embed", NATIVE),
        ("", NATIVE),
    ],
)
def test_a_path_has_the_dialect_of_the_route_that_it_belongs_to(app: FastAPI, path: str, dialect: Dialect) -> None:
    assert app.state.dialects.of(path) is dialect


def test_a_matched_route_says_its_dialect_whatever_its_path(app: FastAPI) -> None:
    route = OpenAIRoute("/any", lambda: None)
    scope = {"app": app, "path": "/embed", "state": {"request_id": "r-1"}}
    assert set(body(render(INVALID, scope))) == {"error", "error_type"}
    assert set(body(render(INVALID, {**scope, "route": route}))) == {"error"}
