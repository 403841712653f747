"""Standing queries: which new documents they match, and how the matches arrive."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from indexer.building.pipeline import build_collection
from service.cli import app
from service.config.api_keys import add_key
from tests.service.conftest import Serve, Served, eventually, write_documents

TOPICS = (
    "heat in plates",
    "cats at night",
    "wings of aircraft",
    "rain jackets",
    "stroke and aspirin",
    "bread and salt",
)
FIRST = [
    {"id": f"{number}", "text": f"A note about {TOPICS[number % len(TOPICS)]}, number {number}.", "year": 1990 + number}
    for number in range(48)
]
NEW = [
    {"id": "warm", "text": "Heat flows through hot plates of steel.", "year": 2030},
    {"id": "cold", "text": "Plates of ice lose no heat.", "year": 1960},
    {"id": "bread", "text": "Bread without salt tastes of nothing.", "year": 2030},
    {"id": "6", "text": "A changed note: heat, plates and more heat.", "year": 1996},
    FIRST[12],  # unchanged, and about heat
]
BASE = "/v1/collections/notes"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("standing")
    build_collection([write_documents(root / "notes.jsonl", FIRST)], root / "collections" / "notes")
    return root / "collections"


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    """Return a copy for a service of its own: two services of one collection both send webhooks."""
    return Path(shutil.copytree(made, tmp_path / "collections"))


@pytest.fixture(scope="module")
def notes(made: Path, serve: Serve) -> Iterator[Served]:
    with serve(made, **{"webhooks.private": True}) as served:
        yield served


def save(served: Served, name: str, **body: Any) -> dict[str, Any]:
    answer = served.http.put(f"{BASE}/standing/{name}", json={"query": "heat in plates", **body})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def add(served: Served, documents: list[dict[str, Any]]) -> int:
    """Add documents; return the generation that has them."""
    job = served.http.post(f"{BASE}/documents?wait=true", json={"documents": documents}).json()
    assert job["status"] == "done", job
    return int(job["generation"])


def matches(served: Served, name: str, generation: int, after: int = 0) -> list[dict[str, Any]]:
    """Return the matches as soon as a generation was checked."""

    def checked() -> bool:
        found = served.http.get(f"{BASE}/standing").json()["standing"]
        return any(each["name"] == name and each["generation"] >= generation for each in found)

    eventually(checked)
    found: list[dict[str, Any]] = served.http.get(f"{BASE}/standing/{name}/matches", params={"after": after}).json()[
        "matches"
    ]
    return found


def match_set(served: Served, **search: Any) -> set[str]:
    """Return the ids of the whole match set of a search."""
    body = {"query": "heat in plates", "k": 100, "count": True, **search}
    answer = served.http.post(f"{BASE}/search", json=body).json()
    assert answer["total"]["relation"] == "exact"
    return {hit["id"] for hit in answer["hits"][: answer["total"]["value"]]}


SEARCHES: dict[str, dict[str, Any]] = {
    "hybrid": {},
    "dense": {"mode": "dense"},
    "lexical": {"mode": "lexical"},
    "filtered": {"filter": "year > 2000"},
    "scored": {"mode": "dense", "min_score": 0.6},
    "all": {"query": "*", "filter": "year > 2000"},
}


def test_matches_are_the_new_and_changed_documents_of_the_match_set(notes: Served) -> None:
    for name, search in SEARCHES.items():
        assert save(notes, name, **search)["last"] == 0
    generation = add(notes, NEW)
    fresh = {str(each["id"]) for each in NEW[:-1]}
    for name, search in SEARCHES.items():
        found = matches(notes, name, generation)
        assert {each["id"] for each in found} == match_set(notes, **search) & fresh, name
        assert [each["number"] for each in found] == list(range(1, len(found) + 1))
        assert {each["generation"] for each in found} == {generation}
    assert {each["id"] for each in matches(notes, "all", generation)} == {"warm", "bread"}
    assert "warm" in {each["id"] for each in matches(notes, "hybrid", generation)}
    assert "bread" not in {each["id"] for each in matches(notes, "hybrid", generation)}
    for name in SEARCHES:
        assert notes.http.delete(f"{BASE}/standing/{name}").status_code == 204


def test_new_metadata_can_match_and_old_updates_do_not_match_again(notes: Served) -> None:
    save(notes, "recent", filter="year > 2100")
    assert notes.http.patch(f"{BASE}/documents/0?wait=true", json={"year": 2101}).json()["status"] == "done"
    generation = notes.http.patch(f"{BASE}/documents/18?wait=true", json={"year": 2102}).json()["generation"]
    assert [each["id"] for each in matches(notes, "recent", generation)] == ["0", "18"]
    generation = notes.http.patch(f"{BASE}/documents/3?wait=true", json={"year": 2103}).json()["generation"]
    assert matches(notes, "recent", generation, after=2) == []  # about rain: not close enough to the query
    saved = save(notes, "recent", query="rain jackets")
    assert (saved["last"], saved["query"]) == (2, "rain jackets")


def test_nothing_matches_a_query_that_nothing_is_close_to(notes: Served) -> None:
    save(notes, "nonsense", query="zqxv blorptk wqe", mode="dense")
    generation = add(notes, [{"id": "other", "text": "The stock market fell on Monday."}])
    assert matches(notes, "nonsense", generation) == []


def test_what_came_while_the_service_was_down_is_checked(copied: Path, serve: Serve, tmp_path: Path) -> None:
    path = copied / "notes"
    with serve(copied) as served:
        save(served, "later", query="glaciers in the Alps", mode="lexical")
    file = write_documents(tmp_path / "more.jsonl", [{"id": "ice", "text": "Glaciers in the Alps melt."}])
    assert CliRunner().invoke(app, ["add", str(path), str(file)]).exit_code == 0
    assert CliRunner().invoke(app, ["verify", str(path)]).exit_code == 0
    with serve(copied) as served:
        generation = served.http.get(BASE).json()["generation"]
        assert not (path / "standing.json").stat().st_mode & 0o077  # it has the keys of webhooks
        assert [each["id"] for each in matches(served, "later", generation)] == ["ice"]
    (path / "standing.json").write_bytes((path / "standing.json").read_bytes().replace(b"Alps", b"Apls"))
    damaged = CliRunner().invoke(app, ["verify", str(path)])
    (path / "standing.json").unlink()
    assert damaged.exit_code == 1
    assert "standing.json" in damaged.output


@contextmanager
def receiver(statuses: list[int]) -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """Run a server that answers with these statuses, the last one forever; yield its address and what it got."""
    got: list[tuple[dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(statuses[min(len(got), len(statuses)) - 1])
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook?key=1", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_webhooks_are_signed_and_sent_again_until_they_arrive(notes: Served) -> None:
    with receiver([503, 302, 200]) as (url, got):
        secret = save(notes, "hook", query="*", filter="year = 1888", webhook={"url": url})["webhook"]["secret"]
        assert "secret" not in save(notes, "hook", query="*", filter="year = 1888", webhook={"url": url})["webhook"]
        add(notes, [{"id": "old", "text": "A note of an earlier time.", "year": 1888}])
        eventually(lambda: len(got) == 3)
        eventually(lambda: state(notes, "hook")["delivered"] == 1)
        assert state(notes, "hook") == {"url": url, "delivered": 1, "failures": 0, "error": ""}
        assert len({(headers["webhook-id"], body) for headers, body in got}) == 1
        headers, body = got[-1]
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        key = base64.b64decode(secret.removeprefix("whsec_"))
        digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{digest}"
        content = json.loads(body)
        assert (content["collection"], content["standing"]) == ("notes", "hook")
        assert [(each["number"], each["id"]) for each in content["matches"]] == [(1, "old")]
        add(notes, [{"id": "older", "text": "Another note.", "year": 1888}])
        eventually(lambda: len(got) == 4)
        assert [each["number"] for each in json.loads(got[-1][1])["matches"]] == [2]


def state(served: Served, name: str) -> dict[str, Any]:
    listed = served.http.get(f"{BASE}/standing").json()["standing"]
    found: dict[str, Any] = next(each["webhook"] for each in listed if each["name"] == name)
    return found


def test_webhooks_go_to_public_addresses_only(copied: Path, serve: Serve) -> None:
    with serve(copied) as served:
        for url in ("http://example.org/hook", "ftp://example.org", "https://user@example.org/", "nothing"):
            answer = served.http.put(f"{BASE}/standing/inner", json={"query": "*", "webhook": {"url": url}})
            assert answer.status_code == 400, answer.text
        url = "https://localhost:9/hook"
        save(served, "inner", query="*", filter="year = 1777", webhook={"url": url})
        add(served, [{"id": "inner", "text": "A note for this house only.", "year": 1777}])
        eventually(lambda: state(served, "inner")["failures"])
        assert "not a public address" in state(served, "inner")["error"]
        assert served.http.delete(f"{BASE}/standing/inner").status_code == 204


def test_roles_names_and_limits(copied: Path, serve: Serve, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    read = {"X-API-Key": add_key(keys, "r", "read", [])}
    write = {"X-API-Key": add_key(keys, "w", "write", [])}
    with serve(copied, keys=keys) as served:
        http = served.http
        assert http.put(f"{BASE}/standing/a", json={"query": "x"}, headers=read).status_code == 403
        assert http.get(f"{BASE}/standing", headers=read).status_code == 403
        assert (
            http.put(f"{BASE}/standing/a", json={"query": "x", "filter": "nope = 1"}, headers=write).status_code == 400
        )
        assert http.put(f"{BASE}/standing/-", json={"query": "x"}, headers=write).status_code == 422
        assert http.put(f"{BASE}/standing/a", json={}, headers=write).status_code == 422
        kept = len(http.get(f"{BASE}/standing", headers=write).json()["standing"])
        answers = [
            http.put(f"{BASE}/standing/q{number}", json={"query": "x"}, headers=write).status_code
            for number in range(51 - kept)
        ]
        assert answers == [200] * (50 - kept) + [400]
        assert http.get(f"{BASE}/standing/q0/matches", headers=read).json() == {"matches": [], "last": 0}
        missing = http.get(f"{BASE}/standing/none/matches", headers=read)
        assert missing.status_code == 404
        assert "q0" in missing.json()["detail"]
