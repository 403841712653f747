"""`attendex sync` and `attendex serve --watch`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from typer.testing import CliRunner, Result

from indexer.building.source_sync import SyncReport
from indexer.building.sync_loop import SyncJob, run_jobs
from indexer.sources import folders
from indexer.sources.settings import SourceSettings
from retrieval.errors import AttendexError
from service.cli import app
from tests.service.conftest import eventually

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.jsonl").write_text('{"id": "1", "text": "About weirs."}\n')
    os.utime(folder / "a.jsonl", (1e9, 1e9))  # not so new that it may change without a new time
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["sync", *map(str, arguments)])


def test_the_result_as_json(folder: Path, tmp_path: Path) -> None:
    (folder / "b.jsonl").write_text("{not json\n")
    done = run(tmp_path / "c", "--source", folder, "--json", "--report", tmp_path / "report.jsonl")
    [report] = json.loads(done.stdout)
    assert (done.exit_code, report["documents"], report["files"]["failed"]) == (0, 1, 1)
    assert [json.loads(line)["name"] for line in (tmp_path / "report.jsonl").read_text().splitlines()] == [
        "a.jsonl",
        "b.jsonl",
    ]
    os.utime(folder / "a.jsonl")  # read again
    again = run(tmp_path / "c", "--source", folder, "--strict")
    assert again.exit_code == 1
    said = " ".join(again.stderr.split())  # a long path of a temporary file divides lines
    assert "1 with problems" in said
    assert "no change" in said


def test_a_plan(folder: Path, tmp_path: Path) -> None:
    done = run(tmp_path / "c", "--source", folder, "--plan")
    assert (done.exit_code, (tmp_path / "c").exists()) == (0, False)
    assert "1 items, 1 to read" in done.stdout


def test_sources_of_a_settings_file(folder: Path, tmp_path: Path) -> None:
    config = tmp_path / "attendex.toml"
    config.write_text(f'[[sources]]\nsource = "{folder}"\ncollection = "notes"\n')
    done = run(tmp_path / "all", "--config", config, "--json")
    assert json.loads(done.stdout)[0]["collection"] == str(tmp_path / "all" / "notes")
    config.write_text(f'[[sources]]\nsource = "{folder}"\ndeleted = "now"\n')
    wrong = run(tmp_path / "all", "--config", config)
    assert (
        wrong.exit_code,
        "table 1 of [[sources]]: deleted: there is no such setting; did you mean delete"
        in " ".join(wrong.stderr.split()),
    ) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no source is given"),
        (("--source", "s4://bucket"), "did you mean s3://?"),
        (("--source", "in", "--delete", "later"), "after-seen-missing-twice"),
        (("--source", "in", "--every", "10"), "write 30s, 10m, 2h or 1d"),
        (("--source", "in", "--set", "query=x"), "query is no setting of folders"),
        (("--source", "in", "--set", "colour=x"), "The settings of a source are source, collection"),
        (("--source", "in"), "in: the folder is missing"),
        (("--source", "in", "--plan"), "the folder is missing"),
        (("--source", "postgresql://u@h/d?password=x"), "source: holds a password"),
        (("--source", "in", "--set", "evry=1m"), "evry: there is no such setting; did you mean every"),
        (("--source", "http://127.0.0.1:1/sitemap.xml"), "which is not a public address"),
    ],
)
def test_wrong_calls(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    done = run(tmp_path / "c", *arguments)
    assert done.exit_code == 1
    assert message in " ".join(done.output.split())


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("obstore", "obstore.exceptions", "obstore.store"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "indexer.sources.s3", raising=False)
    done = run(tmp_path / "c", "--source", "s3://bucket")
    assert "reading s3:// sources needs packages that are not installed; install them with: pip install" in done.stderr


def test_a_watched_folder(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change is read at once, long before the interval ends; a folder that comes back is watched again."""
    monkeypatch.setattr(folders, "CLOCK_SECONDS", 0.0)
    source = SourceSettings(source=str(folder), every="1h", delete="now")
    job, stop = SyncJob(tmp_path / "c", (source,)), threading.Event()
    results: list[SyncReport | AttendexError] = []
    arguments: dict[str, Any] = {"watch": True}
    loop = threading.Thread(
        target=run_jobs, args=([job], lambda _job, result, _files: results.append(result), stop), kwargs=arguments
    )
    loop.start()

    def documents() -> int:
        found = [each for each in results if isinstance(each, SyncReport)]
        return found[-1].documents if found else 0

    try:
        eventually(lambda: documents() == 1)
        (folder / "b.jsonl").write_text('{"id": "2", "text": "About locks."}\n')
        eventually(lambda: documents() == 2)
        folder.rename(tmp_path / "away")
        eventually(lambda: isinstance(results[-1], SyncReport) and results[-1].has_errors)
        (tmp_path / "away" / "a.jsonl").unlink()
        (tmp_path / "away").rename(folder)
        eventually(lambda: documents() == 1)
    finally:
        stop.set()
        loop.join()


def test_a_service_that_watches(folder: Path, tmp_path: Path) -> None:
    """Its second process ends with it, even if it is killed."""
    config = tmp_path / "attendex.toml"
    config.write_text(f'[[sources]]\nsource = "{folder}"\ncollection = "notes"\n')
    (tmp_path / "all").mkdir()
    options = ["--port", "0", "--watch", "--config", str(config)]
    command = [sys.executable, "-m", "service", "serve", str(tmp_path / "all"), *options]
    with subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        url = next(found[0] for line in process.stderr if (found := re.search(r"http://\S+", line)))
        threading.Thread(target=process.stderr.read, daemon=True).start()

        def finds(word: str) -> bool:
            body = {"query": word, "mode": "lexical"}
            with suppress(httpx.TransportError):  # the service is still starting
                answer = httpx.post(f"{url}/v1/collections/notes/search", json=body, timeout=120)
                return answer.status_code == 200 and bool(answer.json()["hits"])
            return False

        eventually(lambda: finds("weirs"), seconds=60.0)
        [child] = psutil.Process(process.pid).children()
        (folder / "b.jsonl").write_text('{"id": "2", "text": "About locks."}\n')
        eventually(lambda: finds("locks"))
        os.kill(process.pid, signal.SIGKILL)
        child.wait(timeout=30)


def test_watching_needs_sources(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["serve", str(tmp_path), "--watch"])
    assert (done.exit_code, "no source is given" in done.stderr) == (1, True)
