"""Bodies of many values: counted before they are parsed; wrong items are refused at the first one."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from itertools import chain
from pkgutil import iter_modules
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

import service.schemas
from service.http.json_bodies import PART_ITEMS, has_more_values, json_list
from service.schemas.base import LenientRequestBody, RequestBody
from tests.service.conftest import Served
from tests.service.test_routes import problem

MILLION = 1_000_000
JSON = {"content-type": "application/json"}
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(alphabet='ab",\\[]{}:\n😀'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet='a",\\[{'), inner),
)


def separators(value: object) -> int:
    """Return the commas and opening brackets of a value, without reading its text."""
    if not isinstance(value, list | dict):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(0, len(value) - 1) + sum(map(separators, inner))


@given(values, st.integers(0, 12))
def test_values_are_counted_outside_of_strings(value: object, maximum: int) -> None:
    for text in (orjson.dumps(value), json.dumps(value, indent=1).encode()):
        assert has_more_values(text, maximum) == (separators(value) > maximum)


@pytest.mark.parametrize("size", [0, 1, PART_ITEMS, 2 * PART_ITEMS + 1])
def test_lists_made_in_parts(size: int) -> None:
    items = [{"id": number} for number in range(size)]
    assert orjson.loads(orjson.dumps(json_list(iter(items)))) == items


def bodies() -> Iterator[type[BaseModel]]:
    for module in iter_modules(service.schemas.__path__, "service.schemas."):
        importlib.import_module(module.name)
    waiting: list[type[BaseModel]] = [RequestBody, LenientRequestBody]
    while waiting:
        body = waiting.pop()
        yield body
        waiting += body.__subclasses__()


def unbounded(schema: Any, path: str) -> Iterator[str]:
    """Yield the parts of a JSON Schema that allow any number of items or characters."""
    if isinstance(schema, list):
        yield from chain.from_iterable(unbounded(each, path) for each in schema)
    if not isinstance(schema, dict):
        return
    bounds = {"array": {"maxItems"}, "string": {"maxLength", "enum", "const", "format"}}
    if isinstance(kind := schema.get("type"), str) and kind in bounds and not bounds[kind] & set(schema):
        yield path
    if isinstance(schema.get("additionalProperties"), dict) and "maxProperties" not in schema:
        yield path
    for name, inner in schema.items():
        if name not in ("examples", "default", "propertyNames"):
            yield from unbounded(inner, f"{path}/{name}")


@pytest.mark.parametrize("body", list(bodies()), ids=lambda body: body.__name__)
def test_every_list_and_text_of_a_request_has_a_maximum(body: type[BaseModel]) -> None:
    assert list(unbounded(body.model_json_schema(), "#")) == []


def repeated(start: bytes, item: bytes, count: int, end: bytes = b"]}") -> bytes:
    return start + b",".join([item] * count) + end


NAMES = b'{"query":"x",' + b",".join(b'"a%d":1' % i for i in range(MILLION // 2)) + b"}"
SMALL = "/v1/collections/small"
TOO_MANY = {
    "numbers to rank": ("/rerank", repeated(b'{"query":"x","documents":[', b"1", MILLION)),
    "numbers to embed": ("/embed", repeated(b'{"inputs":[', b"1", MILLION)),
    "texts to embed": ("/embed", repeated(b'{"inputs":[', b'"a"', MILLION)),
    "numbers to OpenAI's route": ("/v1/embeddings", repeated(b'{"model":"default","input":["a",', b"1", MILLION)),
    "empty searches": (f"{SMALL}/search/batch", repeated(b'{"searches":[', b"{}", MILLION)),
    "facets": (f"{SMALL}/search", repeated(b'{"query":"x","facets":[', b"1", MILLION)),
    "names": (f"{SMALL}/search", NAMES),
    "empty documents": (f"{SMALL}/documents", repeated(b'{"documents":[', b"{}", MILLION)),
    "lists in metadata": (
        f"{SMALL}/documents",
        repeated(b'{"documents":[{"id":"a","text":"b","metadata":{"x":[', b"[]", MILLION, b"]}}]}"),
    ),
    "ids to delete": (f"{SMALL}/documents/delete", repeated(b'{"ids":[', b'"a"', MILLION)),
}


@pytest.mark.parametrize("kind", TOO_MANY)
def test_a_body_of_a_million_values_is_refused_before_it_is_parsed(small: Served, kind: str) -> None:
    path, body = TOO_MANY[kind]
    response = small.http.post(path, content=body, headers=JSON)
    assert response.status_code == 413
    assert "120,000 values" in response.text


WRONG = {
    "numbers to rank": ("/rerank", {"query": "x", "documents": [1] * 50_000}),
    "numbers to embed": ("/embed", {"inputs": [1] * 50_000}),
    "numbers to tokenize": ("/tokenize", {"inputs": [1] * 50_000}),
    "numbers to compare": ("/similarity", {"inputs": {"source_sentence": "x", "sentences": [1] * 50_000}}),
    "numbers to OpenAI's route": ("/v1/embeddings", {"model": "default", "input": ["a"] + [1] * 50_000}),
    "empty searches": (f"{SMALL}/search/batch", {"searches": [{}] * 50_000}),
    "facets": (f"{SMALL}/search", {"query": "x", "facets": [1] * 50_000}),
    "names": (f"{SMALL}/search", {"query": "x"} | {f"a{i}": 1 for i in range(50_000)}),
    "names in a search of a batch": (
        f"{SMALL}/search/batch",
        {"searches": [{"query": "x"} | {f"a{i}": 1 for i in range(50_000)}]},
    ),
    "a long name": (f"{SMALL}/search", {"query": "x", "a" * 500_000: 1}),
    "empty documents": (f"{SMALL}/documents", {"documents": [{}] * 50_000}),
    "numbers to delete": (f"{SMALL}/documents/delete", {"ids": [1] * 50_000}),
    "a long encoder": ("/v1/embeddings", {"input": "a", "model": "x" * 500_000}),
    "a long prompt": ("/embed", {"inputs": "a", "prompt_name": "x" * 500_000}),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_body_of_wrong_items_gets_a_short_answer(small: Served, kind: str) -> None:
    path, body = WRONG[kind]
    response: httpx.Response = small.http.post(path, json=body)
    assert response.status_code in (400, 422)
    assert len(response.content) < 10_000
    assert len(response.json().get("errors", ())) <= 20


def test_a_large_body_with_few_values_is_answered(small: Served) -> None:
    answer = small.http.post("/embed", json={"inputs": [", [{" * 20_000, '\\" ' * 20_000]})
    assert answer.status_code == 200
    broken = small.http.post(f"{SMALL}/search", content=b'{"query": "x", "k": ' + b"[" * 100_000, headers=JSON)
    problem(broken, 400, "bad_json")
