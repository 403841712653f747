"""Files uploaded over HTTP: parsed in the sandbox, added as one job, followed by events."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from service.cli import app
from service.client import AsyncClient, Client
from service.client.answers.jobs import JobAnswer
from service.config.api_keys import add_key
from tests.indexer.readers.samples import pdf_file
from tests.service.conftest import Serve, Served, eventually
from tests.service.test_routes import problem

SMALL = "/v1/collections/small"
FILES = f"{SMALL}/files"
LIMITS = {"uploads.files": 20, "uploads.bytes": 3_000_000, "uploads.disk_bytes": 8_000_000, "webhooks.private": True}


@pytest.fixture(scope="module")
def served(collections: Path, tmp_path_factory: pytest.TempPathFactory, serve: Serve) -> Iterator[Served]:
    """Return a service on a copy that tests may change."""
    root = tmp_path_factory.mktemp("uploads")
    shutil.copytree(collections / "small", root / "small")
    with serve(root, **LIMITS) as served:
        yield served


def send(served: Served, *files: tuple[str, bytes], wait: bool = True, **options: Any) -> httpx.Response:
    form = [("files", (name, content)) for name, content in files]
    data = {"options": json.dumps(options)} if options else {}
    return served.http.post(FILES, files=form, data=data, params={"wait": wait})


def found(served: Served, query: str) -> dict[str, Any]:
    """Return the best hit."""
    hit: dict[str, Any] = served.http.post(f"{SMALL}/search", json={"query": query, "k": 1}).json()["hits"][0]
    return hit


def spool(served: Served) -> list[Path]:
    """Return the files of jobs that are not finished."""
    return [path for path in (served.root / "small" / "jobs").glob("*/*") if path.exists()]


def archive(**members: bytes) -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return packed.getvalue()


def test_files_become_documents_and_a_bad_one_does_not_stop_the_others(served: Served) -> None:
    pages = [["Nothing of interest is on this page."], ["The lighthouse keeper wrote letters to the mainland."]]
    answer = send(
        served,
        ("manuals/keeper.pdf", pdf_file(pages)),
        ("broken.pdf", b"%PDF-1.4 and then nothing"),
        ("empty.txt", b""),
        ("notes.zip", archive(**{"a.md": b"# Basalt\n\nBasalt is a volcanic rock.", "b.bin": b"\x00\x01\x02"})),
        ("words.txt", "Ein Satz über Gletscher.".encode()),
        ("records.jsonl", b'{"id": "own", "text": "A record about limestone."}\n{"id": "bad"}\n'),
    )
    assert answer.status_code == 200, answer.text
    job = answer.json()
    assert (job["status"], job["added"], job["failed"]) == ("done", 4, 2)
    listed = [(each["name"], each["status"]) for each in job["files"]]
    assert listed[0] == ("broken.pdf", "failed")
    assert ("empty.txt", "skipped") in listed
    assert [status for _, status in listed] == sorted(
        (status for _, status in listed), key=["failed", "skipped", "read"].index
    )
    assert all(each["reason"] for each in job["files"] if each["status"] != "read")
    hit = found(served, "lighthouse keeper letters")
    assert (hit["id"], hit["passages"][0]["location"]) == ("manuals/keeper.pdf", "p. 2")
    assert found(served, "volcanic rock")["id"] == "notes.zip/a.md"
    assert spool(served) == []


def test_an_upload_again_changes_nothing_and_metadata_are_added(served: Served) -> None:
    file = ("again.txt", b"The tide table of the northern harbour.")
    options = {
        "metadata": {"project": "tides"},
        "files": {"again.txt": {"metadata": {"year": 1999}, "modified": "2024-05-01T10:00:00Z"}},
    }
    first = send(served, file, **options).json()
    assert "added" in first, first
    assert (first["added"], first["unchanged"]) == (1, 0)
    assert send(served, file, **options).json()["unchanged"] == 1
    metadata = served.http.get(f"{SMALL}/documents/again.txt").json()["metadata"]
    assert (metadata["project"], metadata["year"], metadata["modified"][:10]) == ("tides", 1999, "2024-05-01")
    problem(send(served, file, files={"other.txt": {}}), 400, "bad_input")
    assert "keeep" in problem_text(send(served, file, keeep=True), 422)
    problem(send(served, file, metadata={"year": "soon"}), 400, "bad_document")


def problem_text(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    return str(answer.json()["detail"])


def events_of(served: Served, job: str, last_id: str = "") -> list[tuple[str, str, Any]]:
    """Return id, name and data of the events of a job until the stream ends."""
    events = []
    with served.http.stream("GET", f"{SMALL}/jobs/{job}/events", headers={"Last-Event-ID": last_id}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for block in stream.read().decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":") and line)
            if "event" in fields:
                events.append((fields["id"], fields["event"], json.loads(fields["data"])))
    return events


def test_the_steps_of_a_job_are_sent_as_events_and_go_on_after_the_last_one(served: Served) -> None:
    accepted = send(served, ("one.txt", b"Copper roofs turn green."), ("two.bin", b"\x00\x01"), wait=False)
    assert accepted.status_code == 202
    job = accepted.json()["id"]
    events = events_of(served, job)
    names = [name for _, name, _ in events]
    assert names[-1] == "done"
    assert set(names) == {"reading", "parsed", "encoded", "committed", "done"}
    assert {each["file"] for _, name, each in events if name == "parsed"} == {"one.txt", "two.bin"}
    assert events[-1][2] == served.http.get(f"{SMALL}/jobs/{job}").json()
    assert events_of(served, job, events[2][0]) == events[3:]
    assert events_of(served, job, "other-1") == events
    problem(served.http.get(f"{SMALL}/jobs/unknown/events"), 404, "job_not_found")


def test_jobs_are_listed_the_newest_first(served: Served) -> None:
    done = send(served, ("listed.txt", b"Slate splits into thin plates.")).json()
    failed = served.http.post(FILES, files=[("files", ("nothing.txt", b""))]).json()["id"]
    eventually(lambda: served.http.get(f"{SMALL}/jobs/{failed}").json()["status"] == "failed")
    jobs = served.http.get(f"{SMALL}/jobs", params={"limit": 2}).json()["jobs"]
    assert [job["id"] for job in jobs] == [failed, done["id"]]
    only = served.http.get(f"{SMALL}/jobs", params={"status": "failed", "limit": 1}).json()["jobs"]
    assert [(job["id"], "is empty" in job["error"]) for job in only] == [(failed, True)]
    problem(served.http.get(f"{SMALL}/jobs", params={"limit": 0}), 422, "invalid_request")


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("../../../etc/passwd", "etc/passwd"),
        ("/tmp/absolute.txt", "tmp/absolute.txt"),
        ("C:\\Users\\me\\report.txt", "report.txt"),
        ("red\x1b[31m.txt", "red\\u001b[31m.txt"),
        ("gpj\u202e.txt", "gpj\\u202e.txt"),
        ("Cafe\u0301.txt", "Café.txt"),
        ("...", "..."),
    ],
)
def test_names_are_safe(served: Served, sent: str, name: str) -> None:
    before = {path for path in served.root.parent.rglob("*") if "jobs" not in path.parts and "small" not in path.parts}
    body, kind = form(part(sent, b"Gneiss has bands. " + sent.encode()))
    answer = served.http.post(FILES, content=body, headers={"Content-Type": kind}, params={"wait": True})
    assert answer.json()["files"][0]["name"] == name, answer.text
    assert served.http.get(f"{SMALL}/documents", params={"id": name}).json()["total"] == 1
    after = {path for path in served.root.parent.rglob("*") if "jobs" not in path.parts and "small" not in path.parts}
    assert before == after


def part(name: str, content: bytes, field: str = "files", more: bytes = b"") -> bytes:
    head = f'Content-Disposition: form-data; name="{field}"; filename="{name}"\r\n'.encode()
    return b"--limit\r\n" + head + more + b"\r\n" + content + b"\r\n"


def form(*parts: bytes) -> tuple[bytes, str]:
    return b"".join(parts) + b"--limit--\r\n", "multipart/form-data; boundary=limit"


GOOD = part("good.txt", b"Marble is metamorphic limestone.")
HOSTILE = {
    "no boundary": (b"x", "multipart/form-data", 400),
    "no form": (b"{}", "application/json", 400),
    "other boundary": (form(GOOD)[0], "multipart/form-data; boundary=other", 400),
    "long boundary": (b"x", "multipart/form-data; boundary=" + "b" * 5_000, 400),
    "cut off": (GOOD, "multipart/form-data; boundary=limit", 400),
    "empty form": (*form(), 400),
    "nothing": (b"", "multipart/form-data; boundary=limit", 400),
    "huge header": (*form(part("a.txt", b"x", more=b"X-Long: " + b"a" * 200_000 + b"\r\n")), 400),
    "many headers": (*form(part("a.txt", b"x", more=b"X-A: b\r\n" * 10_000)), 400),
    "name of 100 kB": (*form(part("n" * 100_000, b"x"), GOOD), 400),
    "a million parts": (*form(b"--limit\r\n\r\n\r\n" * 200_000), 400),
    "many files": (*form(*(part(f"{number}.txt", b"x") for number in range(21))), 413),
    "other field": (*form(part("a.txt", b"x", field="evil\x1b")), 400),
    "field without a name": (*form(b'--limit\r\nContent-Disposition: form-data; name="files"\r\n\r\nx\r\n'), 400),
    "options that are no JSON": (
        *form(GOOD, b'--limit\r\nContent-Disposition: form-data; name="options"\r\n\r\n{\r\n'),
        400,
    ),
    "too large": (*form(part("a.txt", b"x" * 3_000_001)), 413),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_forms_are_refused_and_leave_nothing(served: Served, name: str) -> None:
    body, kind, status = HOSTILE[name]
    generation = served.http.get(SMALL).json()["generation"]
    answer = served.http.post(FILES, content=body, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text
    assert "\x1b" not in answer.text
    assert len(answer.text) < 4_000
    assert spool(served) == []
    assert served.http.get(SMALL).json()["generation"] == generation


def test_bad_names_and_repeated_names_fail_by_themselves(served: Served) -> None:
    answer = send(served, ("twin.txt", b"First of two."), ("twin.txt", b"Second."), ("n" * 501 + ".txt", b"x"))
    files = [(each["name"][:8], each["status"], each["reason"]) for each in answer.json()["files"]]
    assert files == [
        ("twin.txt", "failed", "another file of this upload has the same name"),
        ("nnnnnnnn", "failed", "its name has 505 characters; 500 is the limit"),
        ("twin.txt", "read", ""),
    ]
    assert served.http.get(f"{SMALL}/documents/twin.txt").json()["text"] == "First of two."


def test_an_archive_that_expands_too_far_fails(served: Served) -> None:
    bomb = archive(**{"bomb.txt": b"0" * 300_000_000})
    answer = send(served, ("bomb.zip", bomb), ("beside.txt", b"Quartz is hard."))
    files = {each["name"]: each["status"] for each in answer.json()["files"]}
    assert (files["beside.txt"], answer.json()["added"]) == ("read", 1)
    assert files["bomb.zip"] != "read"


def test_a_body_that_breaks_off_leaves_nothing(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", httpx.URL(served.url).port or 0)) as connection:
        head = f"POST {FILES} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n"
        connection.sendall(f"{head}Content-Type: multipart/form-data; boundary=limit\r\n\r\n".encode())
        connection.sendall(part("half.txt", b"x" * 100_000)[:-10])
        eventually(lambda: spool(served))
    eventually(lambda: spool(served) == [])


def test_uploads_need_a_key_that_may_write(collections: Path, tmp_path: Path, serve: Serve) -> None:
    shutil.copytree(collections / "small", tmp_path / "root" / "small")
    keys = tmp_path / "keys.json"
    read, write = (add_key(keys, name, name, []) for name in ("read", "write"))
    with serve(tmp_path / "root", keys=keys, **{"uploads.disk_bytes": 1_000}) as served:
        for key, status in ((read, 403), (write, 200)):
            served.http.headers["X-API-Key"] = key
            assert send(served, ("a.txt", b"Tin is a metal.")).status_code == status
        answer = send(served, ("a.txt", b"Tin is a metal." * 100))
        problem(answer, 429, "overloaded")
        assert answer.headers["Retry-After"] == "5"
        assert spool(served) == []


def test_the_client_and_the_command_upload_files(served: Served, tmp_path: Path) -> None:
    folder = tmp_path / "papers"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("Obsidian is volcanic glass.")
    (folder / "deep" / "b.md").write_text("# Pumice\n\nPumice floats on water.")
    (folder / ".hidden").write_text("x")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    with Client(served.url) as client:
        (job,) = client.upload_files("small", [folder], metadata={"kind": "rock"})
        assert (job.status, job.added, len(job.files)) == ("done", 2, 2)
        assert client.document("small", "papers/deep/b.md").metadata["kind"] == "rock"
        assert client.jobs("small", "done", limit=1)[0].id == job.id
        assert [event.name for event in client.job_events("small", job.id)][-2:] == ["committed", "done"]

    async def again() -> JobAnswer:
        async with AsyncClient(served.url) as client:
            (job,) = await client.upload_files("small", [folder], metadata={"kind": "rock"})
            assert (await client.jobs("small"))[0].id == job.id
            return job

    assert asyncio.run(again()).unchanged == 2
    run = CliRunner().invoke(app, ["upload", f"{served.url}/small", str(folder), str(tmp_path / "broken.pdf")])
    assert run.exit_code == 1
    assert "broken.pdf" in run.output
    assert "2 unchanged, 1 failed" in run.output or "2 documents added" in run.output
    done = CliRunner().invoke(app, ["upload", f"{served.url}/small", str(folder), "--json", "--metadata", "a=b"])
    assert (done.exit_code, json.loads(done.stdout)[0]["status"]) == (0, "done")
    for wrong in (["upload", served.url, str(folder)], ["upload", f"{served.url}/small", "missing.pdf"]):
        assert CliRunner().invoke(app, wrong).exit_code == 1
