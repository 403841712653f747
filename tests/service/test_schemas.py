"""Request bodies, as clients in other languages write them: null for "not given"."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from service.routes import changes, explain, interleaved, judgments, openai, query_log, rerank, search, standing, tei
from service.schemas.base import LenientRequestBody, RequestBody
from service.schemas.rerank import TextsBody
from service.schemas.tei import EmbedBody
from tests.service.conftest import Served

ROUTES = (
    changes,
    explain,
    interleaved,
    judgments,
    openai,
    query_log,
    rerank,
    search,
    standing,
    tei,
)  # import every schema
REQUIRED = {
    "id": "a",
    "text": "a",
    "q": "a",
    "source_sentence": "a",
    "sentences": ["a"],
    "near": 0.97,
    "url": "a",
}  # without an example


def bodies(base: type[Any]) -> Iterator[type[Any]]:
    for body in base.__subclasses__():
        yield body
        yield from bodies(body)


BODIES = sorted({*bodies(RequestBody), *bodies(LenientRequestBody)}, key=lambda body: body.__name__)


def minimal(body: type[Any]) -> dict[str, Any]:
    """Return the required fields of a body, and its query."""
    example, *_ = (body.model_config.get("json_schema_extra") or {}).get("examples", [REQUIRED])
    return {name: example[name] for name, field in body.model_fields.items() if _needed(name, field)}


def _needed(name: str, field: Any) -> bool:
    return field.is_required() or name in ("query", "q")  # without a query, a search needs an example


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_null_for_an_optional_field_means_not_given(body: type[Any]) -> None:
    given = minimal(body)
    expected = body.model_validate(given)
    optional = [name for name, field in body.model_fields.items() if not _needed(name, field)]
    for nulls in ({name: None} for name in optional):
        assert body.model_validate(given | nulls) == expected
        assert body.model_validate_json(json.dumps(given | nulls)) == expected
    assert body.model_validate(given | dict.fromkeys(optional)) == expected


def test_there_are_bodies_of_every_dialect() -> None:
    assert {"SearchBody", "DocumentBody", "EmbeddingsBody", "EmbedBody", "RerankBody", "TextsBody"} <= {
        body.__name__ for body in BODIES
    }


def with_nulls(schema: Any, value: Any, schemas: dict[str, Any]) -> Any:
    """Return a value with null for each optional field that it lacks, in inner objects too."""
    for ref in [schema, *schema.get("anyOf", ())]:
        found = schemas[ref["$ref"].rpartition("/")[2]] if "$ref" in ref else ref
        if isinstance(value, list) and "items" in found:
            return [with_nulls(found["items"], each, schemas) for each in value]
        if isinstance(value, dict) and {*found.get("required", ())} <= value.keys() and "properties" in found:
            inner = {name: with_nulls(found["properties"].get(name, {}), each, schemas) for name, each in value.items()}
            return dict.fromkeys(found["properties"]) | inner
    return value


READING = [
    ("/v1/collections/{name}/search", {"query": "stroke"}),
    ("/v1/collections/{name}/search/batch", {"searches": [{"query": "stroke"}]}),
    ("/v1/collections/{name}/explain", {"query": "stroke", "id": "aspirin"}),
    ("/v1/embeddings", {"input": ["a"], "model": "default"}),
    ("/embed", {"inputs": ["a"]}),
    ("/embed_all", {"inputs": ["a"]}),
    ("/similarity", {"inputs": {"source_sentence": "a", "sentences": ["b"]}, "parameters": {}}),
    ("/tokenize", {"inputs": "a"}),
    ("/rerank", {"query": "a", "texts": ["a", "b"]}),
    ("/rerank", {"query": "a", "documents": ["a", "b"]}),
    ("/v1/rerank", {"query": "a", "documents": ["a", {"text": "b"}], "relevant_spans": {}}),
    ("/v2/rerank", {"query": "a", "documents": ["a", "b"]}),
]
VOLATILE = {"id", "created", "timings_ms"}


@pytest.mark.parametrize(("path", "body"), READING, ids=[path for path, _ in READING])
def test_nulls_change_no_answer(small: Served, path: str, body: dict[str, Any]) -> None:
    document = small.http.get("/openapi.json").json()
    schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    nulls = with_nulls(schema, body, document["components"]["schemas"])
    assert nulls != body
    answers = [small.http.post(path.replace("{name}", "small"), json=each) for each in (body, nulls)]
    assert [answer.status_code for answer in answers] == [200, 200], answers[1].text
    assert without(answers[0].json()) == without(answers[1].json())


def without(answer: Any) -> Any:
    """Return an answer without the parts that differ from request to request."""
    if isinstance(answer, list):
        return [without(each) for each in answer]
    if isinstance(answer, dict):
        return {name: without(each) for name, each in answer.items() if name not in VOLATILE}
    return round(answer, 2) if isinstance(answer, float) else answer


@pytest.mark.parametrize("body", [{"query": None}, {"query": "a", "unknown": None}, {"query": "a", "facets": [None]}])
def test_null_for_a_required_or_unknown_name_is_refused(small: Served, body: dict[str, Any]) -> None:
    assert small.http.post("/v1/collections/small/search", json=body).status_code == 422


@pytest.mark.parametrize("direction", ["Left", "left", "Right", "RIGHT"])
def test_truncation_direction_is_read_in_any_case(direction: str) -> None:
    assert EmbedBody(inputs="a", truncation_direction=direction).truncation_direction == direction.lower()
    assert TextsBody(query="a", texts=["a"], truncation_direction=direction).truncation_direction == direction.lower()
