"""The OpenAPI document, as generators of clients read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from service.http.authentication import presented_key
from tests.service.conftest import Serve, Served


@pytest.fixture(scope="module")
def document(small: Served) -> dict[str, Any]:
    found: dict[str, Any] = small.http.get("/openapi.json").json()
    return found


def parts(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of the document."""
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from parts(each)


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            yield path, operation


def plain(name: str) -> str:
    """Return a name as generators compare it: in one case, without signs."""
    return "".join(filter(str.isalnum, name)).lower()


def test_names_are_unique(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for names in (
        [*schemas],
        [schema["title"] for schema in schemas.values()],
        [operation["operationId"] for _, operation in operations(document)],
    ):
        assert [name for name, count in Counter(map(plain, names)).items() if count > 1] == []
    for name, schema in schemas.items():
        assert schema["title"] == name


def test_no_two_values_of_an_enumeration_differ_by_case_alone(document: dict[str, Any]) -> None:
    for part in parts(document):
        values = [plain(str(value)) for value in part.get("enum", ()) if isinstance(part["enum"], list)]
        assert len(values) == len(set(values)), part


def test_every_reference_exists_and_every_schema_is_used(document: dict[str, Any]) -> None:
    found = {part["$ref"] for part in parts(document) if isinstance(part.get("$ref"), str)}
    assert found == {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}


def test_a_route_needs_a_key_exactly_if_the_document_says_so(
    collections: Any, serve: Serve, document: dict[str, Any]
) -> None:
    schemes = document["components"]["securitySchemes"]
    assert schemes["bearer"] == {"type": "http", "scheme": "bearer", "description": "An API key."}
    sent = {"bearer": (b"authorization", b"Bearer abc"), "header": (schemes["header"]["name"].lower().encode(), b"abc")}
    assert {name: presented_key({"headers": [sent[name]]}) for name in schemes} == {"bearer": "abc", "header": "abc"}
    assert {} in document["paths"]["/info"]["get"]["security"]  # this service has no key
    with serve(collections, **{"api_key": "a-long-and-secret-key-of-the-tests", "rate.failures": ""}) as served:
        keyed = served.http.get("/openapi.json").json()
        for path, methods in keyed["paths"].items():
            for method, operation in methods.items():
                status = served.http.request(method, path.replace("{name}", "small")).status_code
                assert operation.get("security", []) == ([{"bearer": []}, {"header": []}] if status == 401 else []), (
                    path
                )


def test_the_server_is_the_folder_of_the_document(small: Served, document: dict[str, Any]) -> None:
    [server] = document["servers"]
    address = small.http.base_url.join("/below/a/proxy/openapi.json").join(server["url"])
    assert address.path == "/below/a/proxy/"
