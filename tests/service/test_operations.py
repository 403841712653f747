"""Operations: start and end of the process, logs, metrics, settings."""

from __future__ import annotations

import io
import json
import logging
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from retrieval.errors import SettingsError
from retrieval.util.files import locked
from service.cli import app
from service.config.settings import Settings, describe, fields_of, load_settings
from service.config.settings_page import settings_page
from service.observability.logs import LOGGER, JsonFormatter, TextFormatter
from tests.conftest import REPOSITORY
from tests.service.conftest import Serve, Served, eventually
from tests.service.test_routes import SEARCH, problem


@contextmanager
def process(root: Path, *options: str, files: int = 0) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`attendex serve` as a process of its own, ready, with its URL.  It may open `files`; 0: as many as the tests."""
    command = [sys.executable, "-m", "service", "serve", str(root), "--port", "0", *options]
    if files:
        command = ["sh", "-c", f'ulimit -n {files} && exec "$@"', "sh", *command]
    with subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        url = ""
        for line in running.stderr:
            if found := re.search(r"http://\S+", line):
                url = found[0]
            if url:
                break
        try:
            eventually(lambda: running.poll() is not None or status(f"{url}/readyz") == 200, 120)
            assert running.poll() is None
            yield running, url
        finally:
            if running.poll() is None:
                running.kill()
            running.stderr.read()


def status(url: str) -> int:
    """Return the status of a GET; 0 if the server does not answer."""
    try:
        return httpx.get(url, timeout=120).status_code
    except httpx.TransportError:
        return 0


def test_sigterm_ends_in_order(collections: Path) -> None:
    with (
        process(collections, "--set", "drain_seconds=0.5") as (running, url),
        httpx.Client(base_url=url, timeout=120) as http,
    ):
        http.get("/livez")
        slow = slow_body(url)
        running.send_signal(signal.SIGTERM)
        eventually(lambda: status(f"{url}/readyz") == 503)
        assert status(f"{url}/livez") == 200
        eventually(lambda: httpx.post(f"{url}/v1/embeddings", json={}, timeout=120).status_code == 503)
        slow.sendall(b'{"query":"cat"}')
        assert slow.recv(65_536).startswith(b"HTTP/1.1 200")
        slow.close()
        assert running.wait(60) == 0


def test_it_ends_in_time_although_something_still_runs(collections: Path, tmp_path: Path) -> None:
    shutil.copytree(collections, tmp_path / "collections")
    documents = [{"id": str(number), "text": f"text {number} of many words"} for number in range(3)]
    another_writer = locked(tmp_path / "collections" / "small" / "lock")
    with another_writer, process(tmp_path / "collections", "--set", "grace_seconds=1") as (running, url):
        held = slow_body(url)
        add = httpx.post(f"{url}/v1/collections/small/documents", json={"documents": documents}, timeout=30)
        assert add.status_code == 202
        job = f"{url}/v1/collections/small/jobs/{add.json()['id']}"
        eventually(lambda: httpx.get(job, timeout=120).json()["status"] == "running")
        running.send_signal(signal.SIGTERM)
        assert held.recv(65_536).startswith(b"HTTP/1.1 503")
        held.close()
        assert running.wait(60) == 0
    with process(tmp_path / "collections", "--set", "log.requests=false") as (_, url):
        assert httpx.get(f"{url}/v1/collections/small", timeout=120).json()["documents"] in (5, 8)
        added = {"documents": documents[:1]}
        answer = httpx.post(
            f"{url}/v1/collections/small/documents", json=added, timeout=120
        )  # after the job that was interrupted
        job = f"{url}/v1/collections/small/jobs/{answer.json()['id']}"
        eventually(lambda: httpx.get(job, timeout=120).json()["status"] == "done", 120)


def test_a_second_signal_ends_at_once(collections: Path) -> None:
    with process(collections, "--set", "drain_seconds=15") as (running, url):
        held = slow_body(url)
        running.send_signal(signal.SIGTERM)
        eventually(lambda: status(f"{url}/readyz") == 503)
        assert running.poll() is None
        started = time.monotonic()
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == -signal.SIGTERM
        assert time.monotonic() - started < 15 / 2
        held.close()


def slow_body(url: str) -> Any:
    """Return a connection whose request is in progress until its body comes."""
    import socket
    from urllib.parse import urlsplit

    address = urlsplit(url)
    connection = socket.create_connection((address.hostname, address.port), timeout=60)
    lines = (
        f"POST {SEARCH} HTTP/1.1",
        "host: localhost",
        "content-type: application/json",
        "content-length: 15",
        "",
        "",
    )
    connection.sendall("\r\n".join(lines).encode())
    eventually(lambda: "attendex_requests_in_progress 1.0" in httpx.get(f"{url}/metrics", timeout=120).text)
    return connection


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["serve", "nowhere"], "not a directory"),
        (["serve", ".", "--host", "0.0.0.0"], "--insecure"),
        (["serve", ".", "--set", "limits.nope=3"], "attendex settings"),
        (["serve", ".", "--set", "limits.k=many"], "limits.k"),
        (["serve", ".", "--config", "nowhere.toml"], "nowhere.toml"),
        (["serve", ".", "--keys", "nowhere.json"], "nowhere.json"),
        (["serve", ".", "--set", "rate.per_key=often"], "rate.per_key"),
        (["serve", ".", "--set", "runtime=abacus"], "runtime"),
        (["serve", ".", "--set", "encoder=/no/such/folder"], "/no/such/folder"),
        (["serve", ".", "--set", "limits.query_characters=50000"], "20000"),
        (["serve", ".", "--set", "api_key=' '"], "api_key"),
        (["serve", ".", "--set", "api_key='1'"], "has 1 characters"),
        (["serve", ".", "--set", "api_key=fifteen-letters"], "has 15 characters"),
        (["serve", ".", "--host", "203.0.113.7", "--insecure"], "cannot listen"),
    ],
    ids=str,
)
def test_mistakes_are_one_line_and_exit_code_1(arguments: list[str], says: str) -> None:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    assert says in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr


def test_a_collection_that_cannot_be_opened_is_no_missing_one(serve: Serve, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "manifest.json").write_text("{}")
    with serve(tmp_path) as served:
        problem(served.http.get("/v1/collections/damaged"), 503, "collection_unavailable")
        problem(served.http.get("/v1/collections/none"), 404, "collection_not_found")
        assert served.http.get("/readyz").status_code == 503
        shutil.rmtree(damaged)
        eventually(lambda: served.http.get("/readyz").status_code == 200)
        problem(served.http.get("/v1/collections/damaged"), 404, "collection_not_found")


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Yield a stream to which the service's logger writes JSON lines."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger(LOGGER)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield stream
    logger.removeHandler(handler)


def test_a_request_is_logged_without_its_query_or_key(collections: Path, serve: Serve, log: io.StringIO) -> None:
    with serve(collections, api_key="secret-key-of-a-service", **{"log.requests": True}) as served:
        headers = {"x-request-id": "r-1", "authorization": "Bearer secret-key-of-a-service"}
        served.http.get(SEARCH, params={"q": "private matter"}, headers=headers)
        served.http.get("/no%0asuch%0apath", headers=headers)
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    [line] = [each for each in lines if each.get("path") == SEARCH]
    assert (line["status"], line["request_id"], line["method"], line["caller"]) == (200, "r-1", "GET", "settings")
    assert "private" not in log.getvalue()
    assert "secret-key-of-a-service" not in log.getvalue()


def test_slow_requests_stand_out_and_queries_are_logged_on_request(
    collections: Path, serve: Serve, log: io.StringIO
) -> None:
    with serve(collections, **{"log.requests": False, "log.slow_ms": 0.001, "log.queries": True}) as served:
        served.http.get(SEARCH, params={"q": "public matter"})
    [line] = [each for each in map(json.loads, log.getvalue().splitlines()) if each.get("path") == SEARCH]
    assert (line["message"], line["level"], line["query"]) == ("slow request", "warning", "public matter")


def test_a_log_line_cannot_be_forged() -> None:
    record = logging.LogRecord(LOGGER, logging.INFO, "", 0, "request", (), None)
    record.fields = {"path": "/x\n2026-01-01 ERROR forged", "ms": 1.5}
    assert "\n" not in TextFormatter().format(record)
    assert "\n" not in JsonFormatter().format(record)


def test_an_unforeseen_failure_shows_no_stack_and_no_path(
    collections: Path, serve: Serve, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    from service.queues.search_queue import SearchQueue

    async def fail(*_: Any) -> None:
        raise OSError(5, "I/O error", "/very/secret/place")

    with serve(collections) as served:
        monkeypatch.setattr(SearchQueue, "search", fail)
        response = served.http.post(SEARCH, json={"query": "x"})
    assert response.status_code == 500
    assert "secret" not in response.text
    assert "Traceback" not in response.text
    assert response.headers["x-request-id"] == response.json()["request_id"]
    assert "/very/secret/place" in log.getvalue()


def test_metrics_count_what_happened(collections: Path, serve: Serve) -> None:
    with serve(collections) as served:
        for _ in range(3):
            served.http.post(SEARCH, json={"query": "cats"})
        served.http.post(SEARCH, json={})
        served.http.post("/v1/embeddings", json={"input": "x", "model": "default"})
        served.http.get("/very/private/path")
        text = served.http.get("/metrics").text
    route = "/v1/collections/{name}/search"
    assert f'attendex_http_requests_total{{method="POST",route="{route}",status="200"}} 3.0' in text
    assert f'attendex_http_requests_total{{method="POST",route="{route}",status="422"}} 1.0' in text
    assert f'attendex_request_duration_seconds_count{{route="{route}"}} 4.0' in text
    for stage in ("encode", "retrieve", "fetch"):
        assert f'attendex_search_duration_seconds_count{{stage="{stage}"}} 3.0' in text
    assert 'attendex_index_documents{collection="small"} 5.0' in text
    assert 'attendex_index_generation{collection="small"} 1.0' in text
    assert 'attendex_queue_length{queue="search"} 0.0' in text
    assert 'attendex_build_info{fingerprint="53aa51172d14",model="all-MiniLM-L6-v2"' in text
    assert "private" not in text


def test_metrics_are_named_as_the_conventions_have_it(small: Served) -> None:
    names = re.findall(r"^# TYPE (\S+) (\S+)$", small.http.get("/metrics").text, re.MULTILINE)
    assert names
    for name, kind in names:
        assert name.startswith(("attendex_", "process_"))
        assert name.endswith("_total") == (kind == "counter")
        assert "_ms" not in name


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc, which this system does not have")
def test_metrics_show_memory_and_files_of_the_process(small: Served) -> None:
    text = small.http.get("/metrics").text
    shown = {name: float(value) for name, value in re.findall(r"^(process_\w+) (\S+)$", text, re.MULTILINE)}
    assert shown["process_resident_memory_bytes"] > 1e7
    assert 0 < shown["process_open_fds"] < shown["process_max_fds"]


def test_refused_requests_are_counted_under_their_route(collections: Path, serve: Serve) -> None:
    with serve(collections, api_key="key-of-many-characters", **{"rate.per_key": "1/minute"}) as served:
        headers = {"x-api-key": "key-of-many-characters"}
        statuses = [
            served.http.post(SEARCH, json={"query": "cats"}).status_code,
            served.http.get("/nothing").status_code,
        ]
        statuses += [served.http.get("/v1/collections/small", headers=headers).status_code for _ in range(2)]
        text = served.http.get("/metrics").text
    assert statuses == [401, 401, 200, 429]
    for method, route, status in (
        ("POST", "/v1/collections/{name}/search", 401),
        ("GET", "unmatched", 401),
        ("GET", "/v1/collections/{name}", 429),
    ):
        assert f'attendex_http_requests_total{{method="{method}",route="{route}",status="{status}"}} 1.0' in text


def test_metrics_can_be_switched_off(collections: Path, serve: Serve) -> None:
    with serve(collections, metrics=False) as served:
        assert served.http.get("/metrics").status_code == 404


class TestSettings:
    def test_the_first_source_wins(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = tmp_path / "attendex.toml"
        file.write_text('host = "::1"\nport = 1\n[limits]\nk = 2\nfacets = 3\n')
        monkeypatch.setenv("ATTENDEX_LIMITS__K", "7")
        monkeypatch.setenv("ATTENDEX_PORT", "8")
        monkeypatch.setenv("ATTENDEX_API_KEY", "hush-hush-hush-hush")
        flags = {"config": file, "port": 9}
        settings = load_settings(flags)
        assert (settings.port, settings.limits.k, settings.limits.facets, settings.host) == (9, 7, 3, "::1")
        sources = {each.name: (each.value, each.source) for each in describe(settings, flags)}
        assert sources["port"] == (9, "flag")
        assert sources["limits.k"] == (7, "ATTENDEX_LIMITS__K")
        assert sources["limits.facets"] == (3, f"file {file}")
        assert sources["limits.batch"] == (256, "default")
        assert sources["api_key"] == ("********", "ATTENDEX_API_KEY")

    @pytest.mark.parametrize("text", ["port = 'x'", "unknown = 1", "[limits]\nk = 0", "not toml"])
    def test_mistakes_in_the_file_are_named(self, tmp_path: Path, text: str) -> None:
        file = tmp_path / "attendex.toml"
        file.write_text(text)
        with pytest.raises(SettingsError):
            load_settings({"config": file})

    def test_the_command_masks_secrets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ATTENDEX_API_KEY", "hush-hush-hush-hush")
        for options in ([], ["--json"]):
            done = CliRunner().invoke(app, ["settings", *options])
            assert done.exit_code == 0
            assert "hush-hush" not in done.stdout
        shown = {each["name"]: each["value"] for each in json.loads(done.stdout)}
        assert shown["api_key"] == "********"
        assert set(shown) == {name for name, _ in fields_of(Settings)}

    def test_the_documentation_is_what_the_code_says(self) -> None:
        page = (REPOSITORY / "docs" / "settings.md").read_text()
        assert page == settings_page(), "run: attendex settings --markdown > docs/settings.md"
        assert CliRunner().invoke(app, ["settings", "--markdown"]).stdout == page

    def test_every_setting_is_explained(self) -> None:
        for name, field in fields_of(Settings):
            assert field.description, name


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks into /proc, which this system does not have")
def test_serving_on_openvino_never_loads_torch(collections: Path) -> None:
    from retrieval.encoder.loading import load_encoder

    if load_encoder().runtime.name != "openvino":
        pytest.skip("the encoder runs on torch here")
    with process(collections) as (running, url):
        assert httpx.post(f"{url}{SEARCH}", json={"query": "cats"}, timeout=120).status_code == 200
        assert (
            httpx.post(f"{url}/v1/embeddings", json={"input": "x", "model": "default"}, timeout=120).status_code == 200
        )
        assert "libtorch" not in Path(f"/proc/{running.pid}/maps").read_text()
