"""Searches over several collections over real HTTP."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from indexer.building.pipeline import build_collection
from service.client.answers.search import SearchAnswer
from tests.service.conftest import DOCUMENTS, Serve, Served, eventually, write_documents

SEARCH = "/v1/search"


@pytest.fixture(scope="module")
def several(collections: Path, tmp_path_factory: pytest.TempPathFactory, serve: Serve) -> Iterator[Served]:
    """Serve the small collection beside one with other ids and one with another type of a field."""
    root = tmp_path_factory.mktemp("several")
    shutil.copytree(collections / "small", root / "small")
    others = [{**each, "id": f"{each['id']}-2"} for each in DOCUMENTS]
    source = write_documents(tmp_path_factory.mktemp("source") / "others.jsonl", others)
    build_collection([source], root / "others")
    source.write_text('{"id": "a", "text": "Aspirin.", "year": "unknown"}')
    build_collection([source], root / "odd")
    with serve(root) as served:
        yield served


def test_hits_come_from_all_collections(several: Served) -> None:
    body = {"collections": ["small", "others"], "query": "aspirin", "explain": True}
    found = SearchAnswer.model_validate(several.http.post(SEARCH, json=body).json(), extra="forbid")
    assert {hit.collection for hit in found.hits} == {"small", "others"}
    first, second = found.hits[:2]
    assert (first.id, second.id, first.score) == ("aspirin", "aspirin-2", second.score)
    assert all(hit.explanation for hit in found.hits)
    listed = several.http.post(SEARCH, json={"collections": ["small", "others"], "query": "*", "count": True}).json()
    assert listed["total"]["value"] == 2 * len(DOCUMENTS)
    alone = several.http.post(SEARCH, json={"collections": ["small"], "query": "aspirin"}).json()
    assert alone["hits"][0]["collection"] == "small"


def test_wrong_collections_are_refused(several: Served) -> None:
    for names, status, says in (
        (["small", "smal"], 404, "no collection 'smal'"),
        (["small/others"], 404, "no collection 'small/others'"),
        (["small", "small"], 400, "names 'small' twice"),
        (["small", "odd"], 400, "the field 'year' is string in odd and number"),
        ([], 422, "collections"),
    ):
        answer = several.http.post(SEARCH, json={"collections": names, "query": "aspirin"})
        assert (answer.status_code, says in answer.text) == (status, True), answer.text


def test_a_new_generation_is_searched(several: Served) -> None:
    body = {"collections": ["small", "others"], "query": "volcano", "mode": "lexical"}
    assert several.http.post(SEARCH, json=body).json()["hits"] == []
    added = {"documents": [{"id": "volcano", "text": "A volcano erupts."}]}
    assert several.http.post("/v1/collections/others/documents", json=added).status_code == 202
    eventually(lambda: [hit["id"] for hit in several.http.post(SEARCH, json=body).json()["hits"]] == ["volcano"])


def test_an_alias_is_switched_and_kept(several: Served, serve: Serve) -> None:
    path, by_alias = "/v1/aliases/current", "/v1/collections/current/search"
    assert several.http.get(by_alias, params={"q": "aspirin"}).status_code == 404
    assert several.http.put(path, json={"collection": "small"}).json() == {"aliases": {"current": "small"}}
    assert several.http.get(by_alias, params={"q": "aspirin"}).json()["hits"][0]["id"] == "aspirin"
    assert several.http.put(path, json={"collection": "others"}).status_code == 200
    assert several.http.get(by_alias, params={"q": "aspirin"}).json()["hits"][0]["id"] == "aspirin-2"
    together = {"collections": ["current", "small"], "query": "aspirin"}
    assert {hit["collection"] for hit in several.http.post(SEARCH, json=together).json()["hits"]} == {"others", "small"}
    with serve(several.root) as again:  # as after a restart, or in another process
        assert again.http.get("/v1/aliases").json() == {"aliases": {"current": "others"}}
        assert again.http.get(by_alias, params={"q": "aspirin"}).json()["hits"][0]["id"] == "aspirin-2"
        again.http.put(path, json={"collection": "small"})
        eventually(lambda: several.http.get("/v1/aliases").json() == {"aliases": {"current": "small"}})
    for alias, target, status in (("small", "others", 409), ("new", "none", 404), ("current", "current", 404)):
        assert several.http.put(f"/v1/aliases/{alias}", json={"collection": target}).status_code == status
    assert several.http.put("/v1/collections/current", json={}).status_code == 409
    assert several.http.delete(path).status_code == 200
    assert several.http.delete(path).status_code == 404
    assert several.http.get(by_alias, params={"q": "aspirin"}).status_code == 404
