"""The commands and the service use a sharded collection as one collection."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from retrieval.errors import SettingsError
from retrieval.index.storage.manifest import MANIFEST
from retrieval.index.storage.sharded_manifest import read_sharded_manifest
from service.cli import app
from service.commands.serve import serve_on_cluster
from service.config.settings import load_settings
from tests.service.conftest import DOCUMENTS, Serve, write_documents


def run(*arguments: str | Path, fails: bool = False) -> str:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert bool(result.exit_code) == fails, result.output
    return " ".join(result.output.split()) if fails else result.stdout


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the sharded collection `parts`."""
    root = tmp_path_factory.mktemp("sharded")
    source = write_documents(root / "documents.jsonl", DOCUMENTS)
    report = json.loads(run("index", source, "--into", root / "served" / "parts", "--shards", "3", "--json"))
    assert (report["documents"], report["generation"], report["encoded_texts"]) == (5, 1, 5)
    return root


def test_commands_take_a_sharded_collection(root: Path) -> None:
    path, source = root / "served" / "parts", root / "documents.jsonl"
    assert json.loads(run("search", path, "stroke", "--json"))["hits"][0]["id"] == "aspirin"
    assert json.loads(run("info", path, "--json"))["documents"] == 5
    assert json.loads(run("log", path, "--json"))[0]["documents"] == 5
    assert json.loads(run("verify", path, "--no-canaries", "--json"))["ok"]
    again = json.loads(run("index", source, "--into", path, "--sync", "--json"))
    assert (again["unchanged"], again["encoded_texts"], again["generation"]) == (5, 0, 1)
    plan = json.loads(run("index", source, "--into", root / "new", "--shards", "2", "--plan", "--json"))
    assert plan["shards"] == 2


def test_generations_of_all_shards_are_changed_together(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "parts"
    shutil.copytree(root / "served" / "parts", path)
    assert json.loads(run("delete", path, "wing", "--json"))["generation"] == 2
    assert json.loads(run("rollback", path, "--json"))["generation"] == 3
    run("delete", path, "heat")
    assert json.loads(run("merge", path, "--json"))["generation"] == 4
    saved = json.loads(run("snapshot", path, tmp_path / "kept.tar.zst", "--json"))
    assert (saved["generation"], saved["documents"]) == (4, 4)
    run("restore", tmp_path / "kept.tar.zst", tmp_path / "restored")
    assert [entry["documents"] for entry in json.loads(run("log", tmp_path / "restored", "--json"))] == [4]
    assert json.loads(run("search", tmp_path / "restored", "wings", "--json"))["hits"][0]["id"] == "wing"


def test_commands_without_shards_are_refused(root: Path) -> None:
    path, source = root / "served" / "parts", root / "documents.jsonl"
    before = (path / MANIFEST).read_bytes()
    for arguments in (("calibrate", path), ("synonyms", path, "--clear")):
        assert "is a sharded collection" in run(*arguments, fails=True)
    assert "has 3 shards, not 2" in run("index", source, "--into", path, "--shards", "2", fails=True)
    assert "write local, or ray" in run("index", source, "--into", root / "new", "--engine", "spark", fails=True)
    assert (path / MANIFEST).read_bytes() == before


def test_the_service_routes_changes_to_shards(root: Path, serve: Serve) -> None:
    collection = "/v1/collections/parts"
    with serve(root / "served") as served:
        body = {"query": "stroke", "facets": ["year"], "count": True}
        answer = served.http.post(f"{collection}/search", json=body).json()
        assert (answer["collection"], answer["hits"][0]["id"]) == ("parts", "aspirin")
        assert answer["shards"] == {"total": 3, "ok": 3, "failed": []}
        generation = read_sharded_manifest(root / "served" / "parts").generation
        new = [{"id": f"n{n}", "text": f"Text number {n} about stroke.", "metadata": {"year": n}} for n in range(6)]
        added = served.http.post(f"{collection}/documents?wait=true", json={"documents": new})
        assert added.status_code == 200, added.text
        assert read_sharded_manifest(root / "served" / "parts").generation == generation + 1
        assert served.http.get(f"{collection}/documents/n3").json()["text"] == "Text number 3 about stroke."
        assert served.http.delete(f"{collection}/documents/n3?wait=true").status_code == 200
        assert served.http.get(f"{collection}/documents/n3").status_code == 404
        assert served.http.get(f"{collection}/overview").status_code == 200
        assert len(served.http.get(f"{collection}/documents?limit=50").json()["documents"]) == 10
        standing = {"query": "stroke", "min_score": 0.1}
        for refused in (
            served.http.put(f"{collection}/pins", json={"pins": [{"queries": ["a"], "documents": ["n1"]}]}),
            served.http.put(f"{collection}/standing/all", json=standing),
        ):
            assert refused.status_code in (400, 409, 422), refused.text
            assert "is a sharded collection" in refused.text


def test_the_service_leaves_out_a_damaged_shard(root: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    path = root / "damaged" / "parts"
    monkeypatch.setattr("retrieval.index.storage.checksums.BLOCK_BYTES", 128)  # many blocks, as in a large file
    monkeypatch.setattr("retrieval.index.collection.index_reader.CHECKED_BYTES", 0)
    run("index", root / "documents.jsonl", "--into", path, "--shards", "3")
    [file] = path.glob("shards/0001/segments/*/documents.arrow")
    data = bytearray(file.read_bytes())
    data[len(data) // 3] ^= 1
    file.write_bytes(data)
    body = {"query": "stroke", "mode": "dense"}
    with serve(root / "damaged", partial="allow") as served:
        search = "/v1/collections/parts/search"
        refused = served.http.post(search, json=body | {"partial": "fail"})
        assert (refused.status_code, refused.json()["code"]) == (503, "shard_unavailable")
        assert int(refused.headers["Retry-After"]) > 0
        assert str(path) not in refused.text
        failed = [{"shard": "0001", "reason": "its files are damaged"}]
        assert served.http.post(search, json=body).json()["shards"] == {"total": 3, "ok": 2, "failed": failed}
        metrics = served.http.get("/metrics").text
        assert 'attendex_shard_failures_total{collection="parts",shard="0001"} 2.0' in metrics


def test_one_process_serves_shards_of_a_cluster(root: Path) -> None:
    settings = load_settings({"cluster.engine": "ray", "processes": 2})
    with pytest.raises(SettingsError, match="--engine ray serves with one process"):
        serve_on_cluster(root, settings)
    with pytest.raises(SettingsError, match=r"cluster\.engine"):
        load_settings({"cluster.engine": "spark"})
