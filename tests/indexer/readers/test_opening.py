"""Opening a source: standard input, missing files, names, and file metadata."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest

from indexer.readers.base.options import ReadLimits, ReadOptions
from indexer.readers.base.outcomes import FileReport
from indexer.readers.opening import open_documents
from retrieval.errors import BadDocument
from retrieval.types import Document
from tests.indexer.readers.reading import read_all, read_one, write_lines


@pytest.mark.parametrize("content", [("txt", "Some text"), ("jsonl", "not JSON"), ("pdf", "%PDF-1.4")])
def test_file_names_that_are_not_utf8(tmp_path: Path, content: tuple[str, str]) -> None:
    """Old disks and archives have file names in other encodings."""
    path = Path(os.fsdecode(os.fsencode(tmp_path / "in") + b"/caf\xe9." + content[0].encode()))
    path.parent.mkdir()
    path.write_text(content[1])
    with FileReport(tmp_path / "report.jsonl") as report:
        [item] = open_documents(path.parent, on_file=report)
    [line] = (tmp_path / "report.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["path"] == f"{tmp_path}/in/caf\\xe9.{content[0]}"
    if isinstance(item, Document):
        assert (item.id, item.title, item.metadata["path"]) == ("caf\\xe9.txt", "caf\\xe9", "caf\\xe9.txt")
        assert item.text == "Some text"
    else:
        assert str(item).startswith(f"{tmp_path}/in/caf\\xe9.{content[0]}")


def test_file_metadata_and_language(tmp_path: Path) -> None:
    path = tmp_path / "brief.txt"
    path.write_text("Dies ist ein Brief in deutscher Sprache, der lang genug ist, um seine Sprache zu erkennen. " * 2)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    metadata = read_one(path).metadata
    assert metadata["modified"] == "2023-11-14T22:13:20+00:00"
    assert metadata["bytes"] == float(path.stat().st_size)
    assert (metadata["path"], metadata["format"], metadata["language"]) == ("brief.txt", "text", "de")


def test_standard_input_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a format that a parser reads as a whole has a limit on the file size."""
    records = b"".join(b'{"_id": "%d", "text": "some text"}\n' % number for number in range(1_000))
    limits = ReadLimits(file_bytes=1_000)
    for format_name, count in (("jsonl", 1_000), ("json", 0)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(records)))
        items = list(open_documents("-", ReadOptions(format=format_name, limits=limits)))
        assert sum(isinstance(item, Document) for item in items) == count
    assert "the file is larger than 1,000 bytes" in str(items[0])


def test_missing_and_empty_sources(tmp_path: Path) -> None:
    with pytest.raises(BadDocument, match=r"nothing\.jsonl: no such file or folder"):
        open_documents(tmp_path / "nothing.jsonl")
    (tmp_path / "empty").mkdir()
    write_lines(tmp_path / "empty.jsonl", "")
    write_lines(tmp_path / "empty.csv", "")
    for name in ("empty", "empty.jsonl", "empty.csv"):
        documents, [bad] = read_all(tmp_path / name)
        assert documents == []
        assert str(bad) == f"{tmp_path / name}: holds no document"


def test_a_whole_collection(shared_data: Path) -> None:
    documents, bad = read_all(shared_data / "cranfield")
    assert (len(documents), bad) == (1400, [])
