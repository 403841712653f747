"""Accepted changes survive `kill -9`, and the ends of jobs are told by webhooks."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from indexer.maintenance.verify import verify
from service.runtime.job_folder import FINISHED, FINISHED_LOCK
from tests.service.conftest import Serve, Served, eventually
from tests.service.test_uploads import archive, send

ROOT = Path(__file__).resolve().parents[2]
SMALL = "/v1/collections/small"
MAX_ROUNDS = 8  # of changes, until a process is killed


@contextmanager
def process(root: Path) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """Run `attendex serve` as a process of its own."""
    command = [sys.executable, "-m", "service", "serve", str(root), "--port", "0"]
    settings = ["--set", "log.requests=false", "--set", "reload_seconds=0.1", "--set", "drain_seconds=0"]
    started = subprocess.Popen([*command, *settings], stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert started.stderr is not None
    url = next(line for line in started.stderr if " on http" in line).split(" on ")[1].strip()
    reading = threading.Thread(target=started.stderr.read)
    reading.start()
    with httpx.Client(base_url=url, timeout=60) as http:
        try:
            eventually(lambda: _is_ready(http), 60)
            yield started, http
        finally:
            started.kill()
            started.wait()
            reading.join()
            started.stderr.close()


def _is_ready(http: httpx.Client) -> bool:
    try:
        return http.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def storm(root: Path, kills: int, seed: int) -> None:
    """Change a collection over HTTP while its service is killed; nothing that was accepted may be lost."""
    dice, accepted, wanted = random.Random(seed), dict[str, str](), dict[str, str | None]()
    for number in range(kills):
        with process(root) as (service, http):
            killer = threading.Timer(dice.uniform(0.0, 1.5), os.kill, (service.pid, signal.SIGKILL))
            killer.start()
            change_until_dead(http, f"{number}", accepted, wanted)
            killer.join()
    with process(root) as (service, http):
        for job, kind in accepted.items():
            eventually(lambda job=job: http.get(f"{SMALL}/jobs/{job}").json()["finished"], 60)
            found = http.get(f"{SMALL}/jobs/{job}").json()
            assert found["status"] == "done" or found["error"], (kind, found)
        for document, text in wanted.items():
            answer = http.get(f"{SMALL}/documents/{document}")
            assert (answer.json()["text"] if text else answer.status_code) == (text or 404), document
        service.terminate()
        service.wait(30)
    path = root / "small"
    assert verify(path).ok
    left = [each.name for each in (path / "jobs").rglob("*")]
    assert set(left) <= {FINISHED, FINISHED_LOCK}
    if (path / "originals").exists():
        table = json.loads((path / "originals.json").read_bytes())["originals"]
        assert {each.name for each in (path / "originals").iterdir()} == {each["sha256"] for each in table}


def change_until_dead(http: httpx.Client, run: str, accepted: dict[str, str], wanted: dict[str, str | None]) -> None:
    """Add, upload and delete; note what was accepted, and the state that follows from it."""
    try:
        for number in range(MAX_ROUNDS):
            one, file = f"d{run}-{number}", f"f{run}-{number}.txt"
            text = f"The text of {one}."
            body = {"documents": [{"id": one, "text": text}]}
            for kind, answer in (
                ("add", lambda body=body: http.post(f"{SMALL}/documents", json=body)),
                ("upload", lambda file=file: upload(http, file)),
                ("delete", lambda one=one: http.delete(f"{SMALL}/documents/{one}")),
            ):
                if kind == "delete" and number % 2:
                    continue
                wanted_before = wanted.pop(one, None)
                response = answer()
                if response.status_code == 202:
                    accepted[response.json()["id"]] = kind
                    if kind == "upload":
                        wanted[file] = f"The content of {file}."
                    else:
                        wanted[one] = text if kind == "add" else None
                elif wanted_before is not None:
                    wanted[one] = wanted_before
    except httpx.TransportError:
        return
    eventually(lambda: not _is_ready(http))


def upload(http: httpx.Client, name: str) -> httpx.Response:
    files = [("files", (name, f"The content of {name}.".encode())), ("files", ("broken.pdf", b"%PDF-1.4"))]
    return http.post(f"{SMALL}/files", files=files, data={"options": '{"keep": true}'})


def test_what_was_accepted_survives_a_few_kills(collections: Path, tmp_path: Path) -> None:
    shutil.copytree(collections / "small", tmp_path / "root" / "small")
    storm(tmp_path / "root", 2, 1)


@pytest.mark.slow
def test_what_was_accepted_survives_a_storm_of_kills(collections: Path, tmp_path: Path) -> None:
    shutil.copytree(collections / "small", tmp_path / "root" / "small")
    storm(tmp_path / "root", 40, 2)


@contextmanager
def receiver(seconds: float = 0.0, status: int = 200) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Run a receiver that takes its time; yield its address and the messages that it got."""
    got: list[dict[str, Any]] = []
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            ended.wait(seconds)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", got
    finally:
        ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def copied(collections: Path, tmp_path: Path) -> Path:
    shutil.copytree(collections / "small", tmp_path / "root" / "small")
    return tmp_path / "root"


def add(served: Served, number: int, url: str) -> dict[str, Any]:
    body = {"documents": [{"id": f"d{number}", "text": f"Text {number}."}]}
    answer = served.http.post(f"{SMALL}/documents", json=body, params={"webhook": url, "wait": True})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def webhook(served: Served, job: str) -> dict[str, Any]:
    found: dict[str, Any] = served.http.get(f"{SMALL}/jobs/{job}").json()["webhook"]
    return found


def test_a_slow_receiver_does_not_hold_up_the_others(copied: Path, serve: Serve) -> None:
    with receiver(600.0) as (slow, _), receiver() as (fast, got), serve(copied, **{"webhooks.private": True}) as served:
        late = [add(served, number, slow)["id"] for number in range(2)]
        jobs = [add(served, number, fast) for number in range(2, 5)]
        eventually(lambda: len(got) == 3)
        assert {message["job"]["id"] for message in got} == {job["id"] for job in jobs}
        assert {(message["type"], message["collection"]) for message in got} == {("job.done", "small")}
        assert all("webhook" not in message["job"] for message in got)
        assert jobs[0]["webhook"]["secret"].startswith("whsec_")
        eventually(lambda: all(webhook(served, job["id"])["delivered"] for job in jobs))
        assert not any(webhook(served, job)["delivered"] for job in late)
        assert "secret" not in webhook(served, jobs[0]["id"])
        wrong = served.http.post(f"{SMALL}/documents/delete", json={"ids": ["a"]}, params={"webhook": "ftp://x"})
        assert wrong.status_code == 400


def test_a_webhook_is_sent_after_a_restart(copied: Path, serve: Serve) -> None:
    with receiver(status=503) as (url, got):
        with serve(copied, **{"webhooks.private": True}) as served:
            form = [("files", ("notes.zip", archive(**{"a.md": b"# Amber\n\nAmber is resin."})))]
            answer = served.http.post(f"{SMALL}/files", files=form, params={"webhook": url, "wait": True}).json()
            eventually(lambda: webhook(served, answer["id"])["failures"])
        port = int(url.rpartition(":")[2].partition("/")[0])
    with receiver() as (other, again):
        table = copied / "small" / "jobs" / FINISHED
        replaced = (
            table.read_bytes()
            .partition(b"\n")[2]
            .replace(f":{port}/".encode(), f":{other.rpartition(':')[2].partition('/')[0]}/".encode())
        )
        table.write_bytes(sealed_bytes(replaced))
        with serve(copied, **{"webhooks.private": True}) as served:
            eventually(lambda: webhook(served, answer["id"])["delivered"])
        assert [message["job"]["id"] for message in again] == [answer["id"]]
        assert got[0]["job"]["files"][0]["name"] == "notes.zip"


def sealed_bytes(body: bytes) -> bytes:
    import hashlib

    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def test_a_job_that_ends_its_process_again_and_again_is_given_up(copied: Path, serve: Serve) -> None:
    with serve(copied) as served:
        assert send(served, ("a.txt", b"Jade is green.")).json()["status"] == "done"
    home = copied / "small" / "jobs" / "dead"
    home.mkdir(parents=True)
    body = json.dumps({"id": "feed", "number": 1, "collection": "small", "accepted": "2026", "webhook": None}).encode()
    (home / "feed.job").write_bytes(sealed_bytes(body))
    for attempt in range(1, 6):
        (home / f"feed.{attempt}").touch()
    with serve(copied) as served:
        found = served.http.get(f"{SMALL}/jobs/feed").json()
        assert (found["status"], found["code"]) == ("failed", "job_interrupted")
        assert "5 processes ended" in found["error"]
        assert not home.exists()
