"""The commands that keep a collection: what they answer, and how they fail."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from retrieval.index.collection.index_reader import open_index_reader
from retrieval.index.storage.manifest import read_manifest
from retrieval.util import files as file_steps
from retrieval.util.files import take_lock
from service.cli import app


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def answer(*arguments: object) -> Any:
    """Run a command and return the JSON that it prints."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def ids(path: Path) -> list[str]:
    with open_index_reader(path) as reader:
        return sorted(reader.ids(np.flatnonzero(reader.live_documents)))


@pytest.fixture
def papers(bench: Any) -> Any:
    bench.add(*(bench.document(f"d{n}", year=2000 + n) for n in range(6)))
    return bench


def test_delete_by_id_and_by_filter(papers: Any) -> None:
    assert answer("delete", papers.path, "d0", "nobody") == {"deleted": 1, "missing": 1, "generation": 2}
    assert answer("delete", papers.path, "--filter", "year >= 2004") == {"deleted": 2, "missing": 0, "generation": 3}
    assert ids(papers.path) == ["d1", "d2", "d3"]
    assert answer("delete", papers.path, "nobody")["generation"] == 3
    assert answer("delete", papers.path, "--filter", "year > 3000")["generation"] == 3
    assert answer("log", papers.path)[0]["cause"] == "delete 2 documents where year >= 2004"
    assert run("delete", papers.path).exit_code == 2
    unknown = run("delete", papers.path, "--filter", "yaer = 1")
    assert unknown.exit_code == 1
    assert "year" in unknown.stderr
    assert ids(papers.path) == ["d1", "d2", "d3"]


def test_log_and_rollback(papers: Any) -> None:
    run("delete", papers.path, "d0")
    assert answer("rollback", papers.path) == {"generation": 3}
    entries = answer("log", papers.path)
    assert [each["generation"] for each in entries] == [3, 2, 1]
    assert [each["documents"] for each in entries] == [6, 5, 6]
    assert entries[1]["cause"] == "delete 1 documents by id"
    assert "(current)" in run("log", papers.path).stdout
    failed = run("rollback", papers.path, "77")
    assert failed.exit_code == 1
    assert "generation 77 is not kept (kept: 1, 2, 3)" in failed.stderr


def test_merge_forgets_older_generations(papers: Any) -> None:
    papers.add(papers.document("new"))
    run("delete", papers.path, "d0")
    report = answer("merge", papers.path)
    assert report["segments"] == 1
    assert len(answer("log", papers.path)) == 1
    assert ids(papers.path) == ["d1", "d2", "d3", "d4", "d5", "new"]


def test_verify_says_what_is_wrong_and_exits_with_1(papers: Any) -> None:
    assert answer("verify", papers.path, "--no-canaries")["ok"] is True
    vectors = papers.path / next(each for each in read_manifest(papers.path).paths() if each.name == "vectors.npy")
    data = bytearray(vectors.read_bytes())
    data[200] ^= 1
    vectors.write_bytes(data)
    result = run("verify", papers.path, "--no-canaries", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["ok"] is False
    assert str(vectors) in json.dumps(found)
    assert str(vectors) in run("verify", papers.path, "--no-canaries").stdout


def test_snapshot_and_restore(papers: Any) -> None:
    backup, copy = papers.folder / "b.tar.zst", papers.folder / "copy"
    assert answer("snapshot", papers.path, backup)["documents"] == 6
    assert answer("restore", backup, copy)["documents"] == 6
    assert ids(copy) == ids(papers.path)
    again = run("restore", backup, copy)
    assert again.exit_code == 1
    assert "exists already" in again.stderr
    for arguments in (
        ("restore", papers.folder / "nobody", copy),
        ("snapshot", papers.path, papers.folder / "no" / "b"),
    ):
        failed = run(*arguments)
        assert failed.exit_code == 1
        assert "no such" in failed.stderr
    assert run("restore", backup, papers.folder / "no" / "copy").exit_code == 1
    assert sorted(each.name for each in papers.folder.iterdir()) == ["b.tar.zst", "collection", "copy"]


@pytest.mark.parametrize("command", ["delete", "merge", "log", "rollback", "verify", "snapshot"])
def test_what_is_no_collection_is_refused(command: str, tmp_path: Path) -> None:
    more = {"delete": ["x"], "snapshot": [tmp_path / "b.tar.zst"]}.get(command, [])
    result = run(command, tmp_path, *more)
    assert result.exit_code == 1
    assert "not a collection" in result.stderr
    assert list(tmp_path.iterdir()) == []


def write_lines(path: Path, documents: dict[str, str]) -> Path:
    path.write_text("".join(json.dumps({"id": each, "text": text}) + "\n" for each, text in documents.items()))
    return path


def test_index_add_and_sync_encode_only_what_changed(tmp_path: Path) -> None:
    source, target = tmp_path / "corpus.jsonl", tmp_path / "papers"
    first = {f"d{n}": f"text number {n}" for n in range(5)}
    report = answer("index", write_lines(source, first), "--into", target)
    assert (report["added"], report["generation"]) == (5, 1)
    report = answer("index", source, "--into", target)
    assert (report["added"], report["unchanged"], report["encoded_texts"], report["generation"]) == (0, 5, 0, 1)
    report = answer("add", target, write_lines(tmp_path / "more.jsonl", {"d1": "changed", "e": "new"}))
    assert (report["added"], report["replaced"], report["documents"]) == (2, 1, 6)
    report = answer("index", source, "--into", target, "--sync")
    assert (report["added"], report["deleted"], report["unchanged"]) == (1, 1, 4)
    assert ids(target) == sorted(first)
    assert answer("verify", target)["ok"] is True
    nowhere = run("add", tmp_path / "nowhere", source)
    assert nowhere.exit_code == 1
    assert not (tmp_path / "nowhere").exists()


def test_update_changes_fields_and_delete_removes_what_expired(tmp_path: Path) -> None:
    source, target = write_lines(tmp_path / "corpus.jsonl", {"a": "one", "b": "two"}), tmp_path / "papers"
    answer("index", source, "--into", target, "--expires", "until", "--searched-field", "id=2")
    changes = tmp_path / "changes.jsonl"
    changes.write_text('{"key": "a", "until": "2999-01-01", "year": 7}\n\n{"key": "c", "year": 7}\n')
    result = run("update", target, changes, "--id-field", "key", "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert (report["updated"], report["failed"], report["generation"]) == (1, 1, 2)
    assert report["failures"] == [{"id": "c", "error": "no document 'c' in papers"}]
    assert answer("info", target)["expires"] == "until"
    assert answer("delete", target, "--expired")["deleted"] == 0
    changes.write_text('{"id": "a", "year": 7}\n{"id": "b"')
    result = run("update", target, changes)
    assert "changes.jsonl:2: not JSON" in result.stderr
    changes.write_text('{"id": "a", "until": "2001-01-01"}\n')
    assert answer("update", target, changes)["updated"] == 1
    assert ids(target) == ["b"]  # the same commit removes what has expired


BAD_LINE = b'{"id": "b", "text": "two"\n'


@pytest.mark.parametrize(
    ("content", "options", "code", "words"),
    [
        (None, [], 1, "corpus.jsonl: no such file or folder"),
        (b"", [], 1, "corpus.jsonl: holds no document"),
        (BAD_LINE, [], 1, "corpus.jsonl:2: not JSON"),
        (b'{"text": "two"}\n', [], 1, "corpus.jsonl:2: no id"),
        (b'{"id": "b"}\n', [], 1, "corpus.jsonl:2: no text"),
        (b'{"id": "b", "text": "\xff"}\n', [], 1, "corpus.jsonl:2: invalid UTF-8"),
        (b"\n", ["--report", "nowhere/report.jsonl"], 1, "nowhere/report.jsonl: No such file"),
        (b"\n", ["--schema", "year=integer"], 2, "year=integer"),
        (b"\n", ["--chunking", "halves"], 2, "halves"),
        (b"\n", ["--runtime", "abacus"], 1, "abacus"),
        (b"\n", ["--encoder", "/nowhere"], 1, "no such encoder folder"),
    ],
)
def test_bad_input_is_named_and_makes_no_collection(
    tmp_path: Path, content: bytes | None, options: list[str], code: int, words: str
) -> None:
    source, target = tmp_path / "corpus.jsonl", tmp_path / "papers"
    if content is not None:
        source.write_bytes(b'{"id": "a", "text": "one"}\n' + content if content else b"")
    result = run("index", source, "--into", target, "--json", *options)
    assert (result.exit_code, result.stdout) == (code, "")
    assert words in result.stderr
    assert not target.exists()


def test_skipped_records_are_counted_and_listed_in_one_json_document(tmp_path: Path) -> None:
    source = tmp_path / "corpus.jsonl"
    source.write_bytes(b'{"id": "a", "text": "one"}\n' + BAD_LINE + b'{"id": "a", "text": "three"}\n')
    report = answer("index", source, "--into", tmp_path / "papers", "--skip-bad")
    assert (report["documents"], report["duplicates"], report["bad"]) == (1, 1, 1)
    assert "corpus.jsonl:2: not JSON" in report["problems"][0]


def test_that_nothing_was_deleted_is_said_however_many_records_are_bad(tmp_path: Path) -> None:
    source, target = tmp_path / "corpus.jsonl", tmp_path / "papers"
    answer("index", write_lines(source, {"a": "one", "b": "two"}), "--into", target)
    source.write_bytes(b'{"id": "a", "text": "one"}\n' + BAD_LINE * 30)
    result = run("index", source, "--into", target, "--sync", "--skip-bad")
    assert "nothing was deleted, since some sources could not be read" in result.stderr
    report = answer("index", source, "--into", target, "--sync", "--skip-bad")
    assert (report["kept_unseen"], report["bad"], len(report["problems"])) == (True, 30, 30)
    assert ids(target) == ["a", "b"]


def test_ctrl_c_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "papers"
    answer("index", write_lines(tmp_path / "few.jsonl", {"a": "one"}), "--into", target)
    many = write_lines(tmp_path / "many.jsonl", {f"d{n}": f"text {n} " * 100 for n in range(20_000)})
    command = [sys.executable, "-m", "service", "index", str(many), "--into", str(target)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not (target / "lock").read_text():  # the writer signs it
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, told = process.communicate()
    assert (process.returncode, told) == (130, "interrupted; the collection is as it was before\n")
    assert ids(target) == ["a"]


def test_ctrl_c_in_a_first_build_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "papers"
    many = write_lines(tmp_path / "many.jsonl", {f"d{n}": f"text {n} " * 100 for n in range(20_000)})
    command = [sys.executable, "-m", "service", "index", str(many), "--into", str(target)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not (target / "segments").is_dir():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, told = process.communicate()
    assert (process.returncode, told) == (130, "interrupted; the collection is as it was before\n")
    assert not (tmp_path / "deep").exists()


def test_indexing_and_adding_wait_for_another_writer_as_long_as_they_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "corpus.jsonl", tmp_path / "papers"
    answer("index", write_lines(source, {"a": "one"}), "--into", target)
    write_lines(source, {"a": "two"})
    lock = take_lock(target / "lock")
    for command in (["index", source, "--into", target], ["add", target, source]):
        refused = run(*command)
        assert refused.exit_code == 1
        assert "held by process" in refused.stderr
    try_lock = file_steps.try_lock

    def release_after_one_try(descriptor: int, path: Path) -> bool:
        locked = try_lock(descriptor, path)
        if not locked:
            lock.release()
            monkeypatch.undo()
        return locked

    monkeypatch.setattr(file_steps, "try_lock", release_after_one_try)
    assert answer("index", source, "--into", target, "--wait", 60)["replaced"] == 1
