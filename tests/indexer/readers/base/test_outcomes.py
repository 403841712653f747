"""Outcomes of files and the report of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from indexer.readers.base.outcomes import MAX_LISTED_FILES, FileOutcome, FileReport, FileStatus
from indexer.readers.opening import open_documents
from retrieval.errors import MissingExtra, StorageError
from tests.indexer.readers.reading import write_lines


def test_outcomes(tmp_path: Path) -> None:
    write_lines(tmp_path / "good.jsonl", '{"_id": "1", "text": "x"}', "{")
    write_lines(tmp_path / "none.csv", "id,text")
    heard: list[FileOutcome] = []
    list(open_documents(tmp_path, on_file=heard.append))
    assert [(Path(o.path).name, o.status, o.documents, o.bad) for o in heard] == [
        ("good.jsonl", FileStatus.READ, 1, 1),
        ("none.csv", FileStatus.FAILED, 0, 0),
    ]
    assert "good.jsonl:2: not JSON" in heard[0].reason


def test_report(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_lines(folder / "good.jsonl", '{"_id": "1", "text": "x"}')
    write_lines(folder / "poor.jsonl", '{"_id": "2", "text": "x"}', "{")
    write_lines(folder / "bad.jsonl", "{")
    write_lines(folder / "p.png", b"\x89PNG")
    with FileReport(tmp_path / "report.jsonl") as report:
        list(open_documents(folder, on_file=report))
    assert report.summary() == "2 read, 1 skipped, 1 failed"
    assert report.failed
    assert [Path(each.path).name for each in report.troubled] == ["bad.jsonl", "poor.jsonl"]
    assert [Path(each.first).name for each in report.skipped.values()] == ["p.png"]
    lines = [json.loads(line) for line in (tmp_path / "report.jsonl").read_text().splitlines()]
    assert [line["status"] for line in lines] == ["failed", "read", "skipped", "read"]
    assert lines[2]["reason"] == "image: not a format that is read"


def test_a_report_counts_bad_lines_after_many_skipped_files(tmp_path: Path) -> None:
    for number in range(MAX_LISTED_FILES):
        (tmp_path / f"{number:04}.txt").touch()
    write_lines(tmp_path / "x.jsonl", '{"_id": "2", "text": "x"}', "{")
    report = FileReport()
    list(open_documents(tmp_path, on_file=report))
    assert (report.summary(), len(report.troubled)) == ("1 read, 1,000 skipped, 0 failed", 1)
    assert report.skipped["is empty"].count == MAX_LISTED_FILES
    assert report.failed


def test_a_report_counts_files_without_a_parser() -> None:
    report = FileReport()
    for name in ("a.pdf", "b.pdf", "c.txt"):
        reason = f"{name}: {MissingExtra('pdf', 'reading pdf files')}" if name.endswith("pdf") else "damaged"
        report(FileOutcome(name, FileStatus.FAILED, reason=reason))
    assert report.without_parser == {"pip install 'fonttools>=4.40' 'pypdf>=6.0' 'pypdfium2>=5.0'": 2}


def test_a_report_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"), FileReport(tmp_path / "no" / "report.jsonl"):
        pass
