"""Workers that are killed, replaced and ended while requests come."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from benchmarks.load import Orders, Seen, run_load
from tests.service.conftest import eventually
from tests.service.running_service import RunningProcesses, running_processes

pytestmark = pytest.mark.slow

SEARCH = "/v1/collections/small/search"
DOCUMENTS = "/v1/collections/small/documents"
CALLERS = 8


@pytest.fixture
def folder(collections: Path, tmp_path: Path) -> Path:
    return shutil.copytree(collections, tmp_path / "collections")


@contextmanager
def load(served: RunningProcesses, seconds: float) -> Iterator[list[Seen]]:
    """Search meanwhile; the list has the result after the block."""
    bodies = [json.dumps({"query": f"{word} {number}"}) for number in range(50) for word in ("cats", "wings", "heat")]
    found: list[Seen] = []
    orders = Orders(served.url, SEARCH, bodies, CALLERS, seconds)
    thread = threading.Thread(target=lambda: found.append(run_load(orders)))
    thread.start()
    time.sleep(1)
    yield found
    thread.join()


def test_only_the_requests_of_a_killed_worker_fail(folder: Path) -> None:
    with running_processes(folder, 2) as served:
        with load(served, 40) as found:
            for number in range(3):
                before = served.workers()
                subprocess.run(["kill", "-9", str(before[number % 2])], check=True)
                eventually(lambda: set(served.workers()) - set(before), 30)  # noqa: B023
                eventually(served.is_ready, 180)
        failed = found[0].statuses.pop("no answer", 0)
        assert set(found[0].statuses) == {"200"}
        assert failed <= 3 * CALLERS


def test_a_change_is_done_although_the_writer_is_killed(folder: Path) -> None:
    with running_processes(folder, 2) as served, httpx.Client(base_url=served.url, timeout=30) as client:
        for number in range(4):
            subprocess.run(["kill", "-9", str(served.workers()[0])], check=True)

            def add(number: int = number) -> bool:
                body = {"documents": [{"id": f"after-{number}", "text": f"a document after the death {number}"}]}
                try:
                    return client.post(DOCUMENTS, params={"wait": True}, json=body).status_code == 200
                except httpx.TransportError:
                    return False

            eventually(add, 30)
            eventually(served.is_ready, 180)
            assert client.get(f"{DOCUMENTS}/after-{number}").status_code == 200


def test_no_request_fails_while_the_workers_are_replaced(folder: Path) -> None:
    with running_processes(folder, 2) as served:
        before = served.workers()
        with load(served, 40) as found:
            done = subprocess.run(
                [sys.executable, "-m", "service", "restart", str(folder)], capture_output=True, text=True, check=False
            )
        assert "replaced the 2 workers" in done.stderr
        assert set(found[0].statuses) == {"200"}
        eventually(lambda: len(served.workers()) == 2)
        assert not set(before) & set(served.workers())


def test_workers_stay_if_new_ones_do_not_start(folder: Path, tmp_path: Path) -> None:
    settings = tmp_path / "attendex.toml"
    settings.write_text("limits.k = 50\n", encoding="utf-8")
    with running_processes(folder, 2, "--config", str(settings)) as served:
        before = served.workers()
        settings.write_text("limits.k = 'many'\n", encoding="utf-8")
        command = [sys.executable, "-m", "service", "restart", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, "did not start" in done.stderr) == (1, True)
        assert served.workers() == before
        settings.write_text("limits.k = 3\n", encoding="utf-8")
        subprocess.run(command, check=True, capture_output=True)
        assert httpx.post(f"{served.url}{SEARCH}", json={"query": "cats", "k": 4}, timeout=120).status_code == 400


def test_no_answer_is_stale_at_any_worker(folder: Path) -> None:
    with running_processes(folder, 2) as served:
        clients = [httpx.Client(base_url=served.url, timeout=30) for _ in range(4)]
        for number in range(300):
            body = {"documents": [{"id": "changed", "text": f"the word zq{number}x"}]}
            clients[number % 3].post(DOCUMENTS, params={"wait": True}, json=body).raise_for_status()
            search = {"query": f"zq{number}x", "mode": "lexical", "k": 1, "typos": False}
            hits = clients[(7 * number + 1) % 4].post(SEARCH, json=search).json()["hits"]
            assert [hit["id"] for hit in hits] == ["changed"], number
        for client in clients:
            client.close()


def test_a_service_ends_in_order_with_its_workers(folder: Path) -> None:
    with running_processes(folder, 2) as served:
        workers = served.workers()
        served.process.terminate()
        assert served.process.wait(30) == 0
        assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


def test_limits_hold_over_all_processes(folder: Path) -> None:
    with running_processes(folder, 2, "--set", "rate.per_key=5/hour") as served:
        clients = [httpx.Client(base_url=served.url, timeout=120) for _ in range(4)]
        statuses = [clients[number % 4].post(SEARCH, json={"query": "cats"}).status_code for number in range(12)]
        for client in clients:
            client.close()
    assert statuses == [200] * 5 + [429] * 7
