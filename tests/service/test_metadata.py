"""Metadata over HTTP: what goes in comes out, and filters compare values by their type."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from indexer.building.pipeline import build_collection
from service.client import Client
from tests.service.conftest import Serve, Served

DOCUMENTS: list[dict[str, Any]] = [
    {
        "years": [2019, 2020],
        "sizes": [10, 25],
        "flags": [True, False],
        "due": "2024-05-01",
        "published": "2024-05-01",
        "seen": ["2024-01-01", "2024-06-01T12:00:00+02:00"],
        "author": {"name": "Ada", "age": 36},
        "editors": [{"name": "Bob", "ranks": [1, 2]}, {"name": "Eve", "since": "2020-01-01"}, None],
        "at": {"lat": 52.5, "lon": 13.4},
        "draft": True,
        "note": None,
        "price": 2.5,
    },
    {
        "at": {"lat": 48.9, "lon": 2.35},
        "years": [2021],
        "sizes": [9],
        "due": "2024-05-02T10:00:00Z",
        "published": "",
        "tags": ["a", "b"],
        "draft": False,
    },
    {"mixed": [1, "a", None, [2], {"b": True}], "big": 9007199254740993, "count": 1, "years": []},
    {"mixed": 7, "count": 0, "big": 5},
]


@pytest.fixture(scope="module", params=["uploaded", "indexed"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, serve: Serve) -> Iterator[Served]:
    """Return a service whose collection `c` has DOCUMENTS, uploaded or read from a file."""
    root = tmp_path_factory.mktemp("metadata")
    records = [{"id": str(i), "text": f"word{i}", "metadata": each} for i, each in enumerate(DOCUMENTS)]
    if request.param == "indexed":
        source = tmp_path_factory.mktemp("source") / "records.jsonl"
        source.write_text("".join(json.dumps(each) + "\n" for each in records))
        build_collection([source], root / "c")
    with serve(root) as served:
        if request.param == "uploaded":
            assert served.http.put("/v1/collections/c", json={}).status_code == 201
            answer = served.http.post("/v1/collections/c/documents?wait=true", json={"documents": records})
            assert answer.status_code == 200, answer.text
        yield served


def test_metadata_come_back_as_they_were_given(served: Served) -> None:
    page = served.http.get("/v1/collections/c/documents").json()["documents"]
    assert [each["metadata"] for each in page] == DOCUMENTS
    for number, given in enumerate(DOCUMENTS):
        [hit] = served.http.post("/v1/collections/c/search", json={"query": f"word{number}", "k": 1}).json()["hits"]
        assert (hit["id"], hit["metadata"]) == (str(number), given)
        assert served.http.get(f"/v1/collections/c/documents/{number}").json()["metadata"] == given
    with Client(served.url) as client:
        assert [each.metadata for each in client.documents("c")] == DOCUMENTS


def test_documents_that_came_out_can_go_in_again(served: Served) -> None:
    page = served.http.get("/v1/collections/c/documents").json()["documents"]
    answer = served.http.post("/v1/collections/c/documents?wait=true", json={"documents": page}).json()
    assert (answer["added"], answer["unchanged"]) == (0, len(DOCUMENTS))


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("years = 2019", "0"),
        ("years >= 2020", "01"),
        ("years IN [2021, 2030]", "1"),
        ("years EXISTS", "01"),
        ("near(at, 52.52, 13.4) < 5km", "0"),
        ("near(at, 52.52, 13.4) > 5km", "1"),
        ("box(at, 40, 0, 50, 10)", "1"),
        ("NOT near(at, 0, 0) < 99999km", "23"),
        ('editors.name IN ["Eve", "Mallory"]', "0"),
        ("editors.ranks >= 2 AND editors.since < 2021-01-01", "0"),
        ("mixed.b", "2"),
        ("mixed = a", "2"),
        ('author.name STARTS WITH "A"', "0"),
        ("tags CONTAINS b", "1"),
        ("due < now-52w", "01"),
        ("due > now+1d", ""),
        ('sizes >= "9"', "01"),
        ("sizes >= 10", "0"),
        ("sizes < 10", "1"),
        ("flags", "0"),
        ("flags = false", "0"),
        ("published >= 2024-05-01", "0"),
        ("published EXISTS", "0"),
        ("due = 2024-05-01", "0"),
        ("due > 2024-05-01", "1"),
        ("seen >= 2024-06-01", "0"),
        ("seen = 2024-01-01", "0"),
        ("author.age > 30", "0"),
        ("draft", "0"),
        ("count = 1", "2"),
        ('mixed = "7"', "3"),
        ('big = "9007199254740993"', "2"),
    ],
)
def test_filters_compare_by_type(served: Served, expression: str, found: str) -> None:
    page = served.http.get("/v1/collections/c/documents", params={"filter": expression}).json()
    assert "".join(each["id"] for each in page.get("documents", [])) == found, page


def test_facets_and_the_overview_count_lists(served: Served) -> None:
    body = {"query": "word0", "k": 1, "facets": ["years", "flags", "seen"]}
    facets = served.http.post("/v1/collections/c/search", json=body).json()["facets"]
    assert [(each["value"], each["count"]) for each in facets["years"]] == [(2019, 1), (2020, 1), (2021, 1)]
    assert [each["value"] for each in facets["flags"]] == [False, True]
    assert [each["value"] for each in facets["seen"]] == ["2024-01-01", "2024-06-01"]
    fields = {each["name"]: each for each in served.http.get("/v1/collections/c/overview").json()["fields"]}
    assert (fields["years"]["least"], fields["years"]["most"], fields["years"]["documents"]) == (2019, 2021, 2)
    chosen = served.http.post("/v1/collections/c/search", json={"query": "word0", "k": 1, "fields": ["due", "years"]})
    assert chosen.json()["hits"][0]["metadata"] == {"due": "2024-05-01", "years": [2019, 2020]}
    whole = served.http.get(
        "/v1/collections/c/search", params={"q": "word0", "k": 1, "fields": ["editors", "author.name"]}
    )
    assert whole.json()["hits"][0]["metadata"] == {"editors": DOCUMENTS[0]["editors"], "author.name": "Ada"}


def test_pages_of_documents_are_ordered_by_several_fields(served: Served) -> None:
    page = served.http.get("/v1/collections/c/documents", params={"sort": "draft,-count"}).json()
    assert "".join(each["id"] for each in page["documents"]) == "1023"
    answer = served.http.get("/v1/collections/c/documents", params={"sort": "draft,-cuont"})
    assert answer.status_code == 400
    assert "did you mean 'count'?" in answer.text


def test_facets_have_ranges_and_are_disjunctive(served: Served) -> None:
    body = {"q": "*", "k": 1, "facets": ["years [2020, 2021]", "seen [2024-03-01]"]}
    stats = served.http.get("/v1/collections/c/search", params=body).json()["facet_stats"]
    assert (stats["years"]["min"], stats["years"]["max"]) == (2019, 2021)
    assert stats["years"]["ranges"] == [
        {"start": None, "end": 2020, "count": 1},
        {"start": 2020, "end": 2021, "count": 1},
        {"start": 2021, "end": None, "count": 1},
    ]
    assert [each["count"] for each in stats["seen"]["ranges"]] == [1, 1]
    assert stats["seen"]["max"] == "2024-06-01T10:00:00+00:00"
    chosen = {"query": "*", "filter": 'tags = "a"', "facets": ["tags", "draft"]}
    with Client(served.url) as client:
        found = client.search("c", **chosen, disjunctive=["tags"])
        assert [each.value for each in found.facets["tags"]] == ["a", "b"]
        assert [each.value for each in client.facet_values("c", "tags", "B").values] == ["b"]
        assert client.facet_values("c", "tags", filter="draft").values == []
        assert [each.value for each in client.facet_values("c", "author.name", "a", query="word0").values] == ["Ada"]


def test_unknown_facets_name_the_nearest(served: Served) -> None:
    answer = served.http.get("/v1/collections/c/facets/tgas")
    assert answer.status_code == 400
    assert "did you mean 'tags'?" in answer.text


def test_a_field_without_positions_says_so(served: Served) -> None:
    answer = served.http.get("/v1/collections/c/search", params={"q": "*", "filter": "near(author, 1, 2) < 5km"})
    assert answer.status_code == 400
    assert "'author' has no positions" in answer.text
    assert "those with positions are 'at'" in answer.text


def test_lists_have_no_order(served: Served) -> None:
    answer = served.http.post("/v1/collections/c/search", json={"query": "word0", "sort": "years"})
    assert answer.status_code == 400
    assert "lists" in answer.text
