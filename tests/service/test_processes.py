"""A service with two processes: one writer, and answers that hold whichever process makes them."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.service.conftest import eventually
from tests.service.running_service import RunningProcesses, running_processes

SEARCH = "/v1/collections/small/search"
DOCUMENTS = "/v1/collections/small/documents"


@pytest.fixture(scope="module")
def served(collections: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProcesses]:
    """Return a service with two processes; tests add documents with ids of their own."""
    folder = tmp_path_factory.mktemp("processes") / "collections"
    shutil.copytree(collections, folder)
    with running_processes(folder, 2) as running:
        yield running


@pytest.fixture
def clients(served: RunningProcesses) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """Return two clients with a connection each, one to each process."""
    with (
        httpx.Client(base_url=served.url, timeout=120) as first,
        httpx.Client(base_url=served.url, timeout=120) as second,
    ):
        for client in (first, second):
            client.get("/livez")
        yield first, second


def found(client: httpx.Client, query: str) -> list[str]:
    return [hit["id"] for hit in client.post(SEARCH, json={"query": query, "k": 3}).json()["hits"]]


def test_connections_are_divided_between_the_processes(served: RunningProcesses) -> None:
    with ExitStack() as opened:
        for _ in range(8):
            opened.enter_context(httpx.Client(base_url=served.url, timeout=120)).get("/livez")
        counts = [connections_of(worker) for worker in served.workers()]
    assert max(counts) - min(counts) <= 2


def connections_of(pid: int) -> int:
    sockets = 0
    for each in Path(f"/proc/{pid}/fd").iterdir():
        sockets += str(each.readlink()).startswith("socket:")
    return sockets


def test_each_process_finds_a_document_that_is_done(clients: tuple[httpx.Client, httpx.Client]) -> None:
    for number in range(10):
        writer, reader = clients[number % 2], clients[(number + 1) % 2]
        body = {"documents": [{"id": f"new-{number}", "text": f"the number {number} in words and pictures"}]}
        done = writer.post(DOCUMENTS, params={"wait": True}, json=body)
        assert (done.status_code, done.json()["status"]) == (200, "done")
        for client in (reader, writer):
            assert f"new-{number}" in found(client, f"the number {number} in words and pictures")


def test_a_request_may_need_a_generation(clients: tuple[httpx.Client, httpx.Client]) -> None:
    body = {"documents": [{"id": "newest", "text": "the newest document"}]}
    done = clients[0].post(DOCUMENTS, params={"wait": True}, json=body)
    generation = done.json()["generation"]
    assert done.headers["Attendex-Generation"] == str(generation)
    for client in clients:
        answer = client.post(SEARCH, json={"query": "newest", "min_generation": generation})
        assert (answer.status_code, answer.json()["generation"]) == (200, generation)
        assert answer.headers["Attendex-Generation"] == str(generation)
    later = clients[1].get(SEARCH, params={"q": "newest", "min_generation": generation + 1}, timeout=30)
    assert (later.status_code, later.json()["code"]) == (409, "generation_not_served")
    assert clients[1].get(DOCUMENTS, params={"min_generation": generation}).status_code == 200


def test_each_process_knows_each_job(clients: tuple[httpx.Client, httpx.Client]) -> None:
    for client in clients:
        job = client.post(DOCUMENTS, json={"documents": [{"id": "job", "text": "a job to know"}]}).json()
        for other in clients:
            assert other.get(f"/v1/collections/small/jobs/{job['id']}").json()["id"] == job["id"]
        eventually(lambda: client.get(f"/v1/collections/small/jobs/{job['id']}").json()["status"] == "done")  # noqa: B023


def test_each_process_has_a_collection_that_was_created(clients: tuple[httpx.Client, httpx.Client]) -> None:
    for number, client in enumerate(clients):
        assert client.put(f"/v1/collections/made-{number}", json={}).status_code == 201
        for other in clients:
            assert other.get(f"/v1/collections/made-{number}").status_code == 200
        assert client.delete(f"/v1/collections/made-{number}").status_code == 204
        for other in clients:
            assert other.get(f"/v1/collections/made-{number}").status_code == 404


def test_refused_changes_look_as_with_one_process(clients: tuple[httpx.Client, httpx.Client]) -> None:
    answers = [client.post(DOCUMENTS, json={"documents": "none"}, headers={"X-Request-ID": "a"}) for client in clients]
    assert [answer.status_code for answer in answers] == [422, 422]
    assert answers[0].json() == answers[1].json()
    assert {answer.headers["X-Request-ID"] for answer in answers} == {"a"}


def metrics_of(client: httpx.Client) -> dict[str, float]:
    lines = (line.rpartition(" ") for line in client.get("/metrics").text.splitlines() if line[0] != "#")
    return {name: float(value) for name, _, value in lines}


def test_the_metrics_of_any_process_are_those_of_all(clients: tuple[httpx.Client, httpx.Client]) -> None:
    name = 'attendex_http_requests_total{method="GET",route="/v1/collections",status="200"}'
    before = metrics_of(clients[0]).get(name, 0.0)
    for client in clients:
        client.get("/v1/collections")
    found = [metrics_of(client) for client in clients]
    assert [each[name] for each in found] == [before + 2] * 2
    assert found[0]['attendex_workers{state="ready"}'] == 2
    for process in ("parent", "1", "2"):
        assert found[1][f'process_resident_memory_bytes{{process="{process}"}}'] > 1e6


def test_each_process_streams_the_events_of_a_job(clients: tuple[httpx.Client, httpx.Client]) -> None:
    body = {"documents": [{"id": "streamed", "text": "a document of a streamed job"}]}
    job = clients[0].post(DOCUMENTS, params={"wait": True}, json=body).json()
    for client in clients:
        with client.stream("GET", f"/v1/collections/small/jobs/{job['id']}/events") as answer:
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            assert "Content-Encoding" not in answer.headers
            assert any("done" in line for line in answer.iter_lines())


def test_a_worker_comes_back_although_the_template_is_dead(served: RunningProcesses) -> None:
    before, template = served.workers(), served.template()
    os.kill(template, signal.SIGKILL)
    os.kill(before[1], signal.SIGKILL)
    eventually(lambda: len(served.workers()) == 2 and before[1] not in served.workers(), 180)
    eventually(served.is_ready, 180)
    assert served.workers()[0] == before[0]
    assert served.template() != template
