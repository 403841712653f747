"""Collections with a remote encoder: built, searched, served, changed; by services over real HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from indexer.building.document_changes import CollectionChange, apply_changes
from indexer.building.pipeline import BuildSettings, build_collection
from indexer.maintenance.reembed import reembed
from retrieval.encoder.loading import load_encoder, load_recorded_encoder
from retrieval.encoder.remote import connection
from retrieval.errors import EncoderError, EncoderMismatch, EncoderUnavailable
from retrieval.index.storage.manifest import read_manifest
from retrieval.search.searcher import open_searcher
from retrieval.types import Document, Mode, SearchRequest
from service.app import make_registry
from service.cli import app
from service.config.settings import describe, load_settings
from tests.retrieval.encoder.remote_services import Service, failing, running
from tests.service.conftest import DOCUMENTS, Serve, Served, eventually, write_documents

QUERIES = ("risk of stroke", "a wing that lifts", "sleeping animals", "boundary layer")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(connection, "DOWN_S", 0.2)


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with running() as service:
        monkeypatch.setenv("ATTENDEX_REMOTE__ALLOW", service.url)
        yield service


def many(tmp_path: Path, count: int = 200) -> Path:
    documents = [{"id": f"d{number}", "text": f"text number {number} of them"} for number in range(count)]
    return write_documents(tmp_path / "many.jsonl", documents)


def built(stub: Service, tmp_path: Path, options: str = "&batch=8&parallel=2") -> Path:
    settings = BuildSettings(encoder=f"ollama:{stub.url}#m{options}")
    build_collection([many(tmp_path)], tmp_path / "built", settings)
    return tmp_path / "built"


@pytest.mark.parametrize("kind", ["openai", "tei"])
def test_searches_equal_those_of_the_local_encoder(
    small: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    name = {
        "openai": f"openai:{small.url}/v1#default&query_type=query&passage_type=document",
        "tei": f"tei:{small.url}#&query_type=query",
    }[kind]
    monkeypatch.setenv("ATTENDEX_REMOTE__ALLOW", small.url)
    readable = [each for each in DOCUMENTS if json.dumps(each, ensure_ascii=False).isascii()]
    source = write_documents(tmp_path / "documents.jsonl", readable)
    build_collection([source], tmp_path / "local")
    report = build_collection([source], tmp_path / "remote", BuildSettings(encoder=name))
    assert (report.runtime, report.remote is not None and report.remote.texts >= len(readable)) == ("remote", True)
    with open_searcher(tmp_path / "local") as local, open_searcher(tmp_path / "remote") as remote:
        for mode in (Mode.DENSE, Mode.LEXICAL, Mode.HYBRID):
            for query in QUERIES:
                expected, found = (each.search(SearchRequest(query, mode=mode)) for each in (local, remote))
                assert found.hits == expected.hits
                assert (found.weight, found.total, found.confidence) == (
                    expected.weight,
                    expected.total,
                    expected.confidence,
                )


def test_the_service_encodes_waiting_queries_together(stub: Service, tmp_path: Path, serve: Serve) -> None:
    with serve(built(stub, tmp_path)) as served:
        stub.bodies.clear()
        searches = [{"query": f"number {number}", "mode": "dense"} for number in range(16)]
        answer = served.http.post("/v1/collections/built/search/batch", json={"searches": searches}).json()
        assert [result["degraded"] for result in answer["results"]] == [[]] * 16
        assert len(stub.bodies) < 16
        assert sorted(stub.texts) == sorted(search["query"] for search in searches)


def test_without_the_service_lexical_search_goes_on_and_says_so(
    stub: Service, tmp_path: Path, serve: Serve, collections: Path
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    built(stub, tmp_path, "&query_timeout=1").rename(root / "far")
    (root / "near").symlink_to(collections / "small")
    stub.always = failing(503)
    with serve(root) as served:  # it opens the collection while the service is down
        far, near = (f"/v1/collections/{name}/search" for name in ("far", "near"))
        started = time.monotonic()
        answer = served.http.post(far, json={"query": "number 7"}).json()
        assert (answer["degraded"], answer["mode"], answer["hits"][0]["id"]) == (["dense"], "lexical", "d7")
        refused = served.http.post(far, json={"query": "number 7", "mode": "dense"})
        assert (refused.status_code, refused.json()["code"]) == (503, "encoder_unavailable")
        assert stub.url not in refused.text
        answer = served.http.post(near, json={"query": "stroke"}).json()
        assert (answer["degraded"], answer["mode"]) == ([], "hybrid")
        assert time.monotonic() - started < 25  # as against 30 for each request
        stub.always = None
        eventually(lambda: not served.http.post(far, json={"query": "number 8"}).json()["degraded"])


def test_a_service_that_is_not_allowed_is_never_asked(
    stub: Service, tmp_path: Path, serve: Serve, collections: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    built(stub, tmp_path).rename(root / "far")
    (root / "near").symlink_to(collections / "small")
    monkeypatch.setenv("ATTENDEX_REMOTE__ALLOW", "https://api.example.com")
    asked = len(stub.times)
    with serve(root) as served:
        assert served.http.post("/v1/collections/far/search", json={"query": "number 7"}).status_code == 503
        assert served.http.post("/v1/collections/near/search", json={"query": "stroke"}).status_code == 200
    with pytest.raises(EncoderError, match="not allowed"):
        open_searcher(root / "far")
    assert len(stub.times) == asked


def test_settings_allow_origins_and_hide_keys(stub: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_by = read_manifest(built(stub, tmp_path)).encoder
    monkeypatch.delenv("ATTENDEX_REMOTE__ALLOW")
    (tmp_path / "key").write_text("sk-of-file")
    settings = load_settings({"remote.allow": stub.url, "remote.key_file": str(tmp_path / "key")})
    make_registry(settings).recorded(made_by).encode_queries(["a"])
    assert stub.headers[-1]["Authorization"] == "Bearer sk-of-file"
    shown = describe(load_settings({"remote.key": "sk-of-setting"}))
    assert "sk-of-setting" not in str(shown)
    with pytest.raises(EncoderError, match="not allowed"):
        make_registry(load_settings({})).recorded(made_by)


def test_an_added_document_is_found(stub: Service, tmp_path: Path, serve: Serve) -> None:
    with serve(built(stub, tmp_path)) as served:
        body = {"documents": [{"id": "new", "text": "an entirely new text"}]}
        served.http.post("/v1/collections/built/documents", json=body, params={"wait": "true"})
        query = {"query": "an entirely new text", "mode": "dense"}
        eventually(
            lambda: served.http.post("/v1/collections/built/search", json=query).json()["hits"][0]["id"] == "new"
        )


def test_a_provider_that_changes_its_model_is_found_out(stub: Service, tmp_path: Path) -> None:
    folder = built(stub, tmp_path)
    encoder = load_recorded_encoder(read_manifest(folder).encoder)
    stub.model = "another"
    message = "now runs another model"
    with pytest.raises(EncoderMismatch, match=message):
        open_searcher(folder)
    generation = read_manifest(folder).generation
    with pytest.raises(EncoderMismatch, match=message):
        apply_changes(folder, encoder, [CollectionChange(upserts=(Document("new", "a new text"),))])
    with pytest.raises(EncoderMismatch, match=message):
        build_collection([many(tmp_path, 250)], folder)
    assert read_manifest(folder).generation == generation
    apply_changes(folder, encoder, [CollectionChange(deletes=("d1",))])  # needs no vectors
    stub.model = "m"
    stub.noise = 0.002  # a provider need not give equal bits
    open_searcher(folder).close()


def test_a_change_during_a_build_is_found_out_before_the_commit(stub: Service, tmp_path: Path) -> None:
    def change_soon() -> None:
        if len(stub.texts) > 100:
            stub.model = "another"

    stub.always = change_soon
    with pytest.raises(EncoderMismatch, match="now runs another model"):
        built(stub, tmp_path)
    assert not (tmp_path / "built" / "manifest.json").exists()


def test_an_interrupted_build_pays_no_text_twice(stub: Service, tmp_path: Path) -> None:
    options = "&batch=8&parallel=1&retries=1"
    stub.always = lambda: failing(500)() if len(stub.texts) > 100 else None
    settings = BuildSettings(encoder=f"ollama:{stub.url}#m{options}")
    source = many(tmp_path, 2_000)
    with pytest.raises(EncoderUnavailable):
        build_collection([source], tmp_path / "built", settings)
    paid = {text for text in stub.texts if text.startswith("text number")}
    stub.always = None
    stub.bodies.clear()
    report = build_collection([source], tmp_path / "built", settings)
    again = paid.intersection(stub.texts)
    assert (report.documents, report.resumed > 0) == (2_000, True)
    assert len(again) <= 64  # those of the block that the failure interrupted


def test_a_build_is_not_resumed_with_another_model(stub: Service, tmp_path: Path) -> None:
    stub.always = lambda: failing(500)() if len(stub.texts) > 150 else None
    settings = BuildSettings(encoder=f"ollama:{stub.url}#m&batch=8&parallel=1&retries=1")
    with pytest.raises(EncoderUnavailable):
        build_collection([many(tmp_path)], tmp_path / "built", settings)
    stub.always, stub.model = None, "another"
    assert build_collection([many(tmp_path)], tmp_path / "built", settings).resumed == 0
    with open_searcher(tmp_path / "built") as searcher:
        result = searcher.search(SearchRequest("text number 7 of them", mode=Mode.DENSE))
        assert (result.hits[0].id, result.hits[0].score) == ("d7", pytest.approx(1.0, abs=1e-3))


def test_reembed_goes_on_where_it_stopped(stub: Service, tmp_path: Path) -> None:
    source = many(tmp_path, 1_200)
    build_collection([source], tmp_path / "built")
    name = f"openai:{stub.url}#m&batch=32&retries=1"
    encoder = load_encoder(name, bulk=True)
    stub.always = lambda: failing(500)() if len(stub.texts) > 800 else None
    with pytest.raises(EncoderUnavailable):
        reembed(tmp_path / "built", encoder)
    stub.always = None
    stub.bodies.clear()
    assert reembed(tmp_path / "built", encoder).encoded == 1_200 - 512
    with open_searcher(tmp_path / "built") as searcher:
        assert searcher.search(SearchRequest("text number 7 of them", mode=Mode.DENSE)).hits[0].id == "d7"


def test_the_plan_counts_tokens_and_their_cost(stub: Service, tmp_path: Path) -> None:
    source = many(tmp_path, 1_000)
    command = ["index", str(source), "--into", str(tmp_path / "new"), "--encoder", f"ollama:{stub.url}#m&tpm=60000"]
    result = CliRunner().invoke(app, [*command, "--plan", "--price", "100", "--json"])
    plan = json.loads(result.stdout)
    assert (plan["passages"], plan["tokens"]) == (1_000, 3_000)  # the service counts three tokens a text
    assert plan["cost"] == pytest.approx(0.3)
    assert plan["seconds"] >= 3.0
    assert not (tmp_path / "new").exists()
    shown = CliRunner().invoke(app, [*command, "--plan", "--price", "100"])
    assert "cost about 0.30" in shown.stdout
    assert CliRunner().invoke(app, [*command, "--price", "100"]).exit_code == 2


def test_no_file_or_output_has_the_key(stub: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTENDEX_REMOTE__KEY", "sk-secret-of-the-user")
    command = ["index", str(many(tmp_path)), "--into", str(tmp_path / "new"), "--encoder", f"openai:{stub.url}#m"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert stub.headers[-1]["Authorization"] == "Bearer sk-secret-of-the-user"
    assert "sk-secret" not in result.output
    files = [path for path in (tmp_path / "new").rglob("*") if path.is_file()]
    assert not any(b"sk-secret" in path.read_bytes() for path in files)


def test_commands_work_with_the_recorded_service(stub: Service, tmp_path: Path) -> None:
    folder = built(stub, tmp_path)
    for command in (
        ["search", str(folder), "number 7", "--mode", "dense"],
        ["search", str(folder), "number 7", "--highlight"],
        ["explain", str(folder), "number 7", "d7"],
        ["calibrate", str(folder)],
        ["verify", str(folder)],
        ["info", str(folder)],
        ["add", str(folder), str(many(tmp_path, 210))],
    ):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, (command, result.output, result.exception)
    queries, qrels = tmp_path / "queries.jsonl", tmp_path / "qrels.tsv"
    queries.write_text('{"_id": "q", "text": "text number 7 of them"}\n')
    qrels.write_text("query-id\tcorpus-id\tscore\nq\td7\t1\n")
    judged = ["--queries", str(queries), "--qrels", str(qrels)]
    for command in (["evaluate", str(folder), *judged], ["compare", f"{folder}:dense", f"{folder}:hybrid", *judged]):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, (command, result.output, result.exception)


def test_lexical_search_needs_no_service(stub: Service, tmp_path: Path) -> None:
    folder = built(stub, tmp_path, "&query_timeout=1")
    stub.always = failing(503)
    with open_searcher(folder) as searcher:
        assert searcher.search(SearchRequest("number 7", mode=Mode.LEXICAL)).hits[0].id == "d7"
        with pytest.raises(EncoderUnavailable, match="lexical search needs none"):
            searcher.search(SearchRequest("number 7"))
