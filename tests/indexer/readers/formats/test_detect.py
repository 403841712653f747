"""Detection: a text that begins with or mentions magic bytes stays a text."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from indexer.readers.formats.detect import SkippedFile, detect, refine
from tests.indexer.readers.reading import read_one, write_lines
from tests.indexer.readers.samples import packed, pdf_file

TEXTS = {
    "bear.txt": "Rar! said the bear.",
    "gif.txt": "GIF89a and GIF87a are two versions of one format.",
    "shop.md": "MZ Wallace sells bags.",
    "tree.rst": "ID3 grows a decision tree.",
    "par.txt": "PAR1 begins and ends a Parquet file.",
    "zip.txt": "BZh91 is how a bzip2 file may begin.",
    "rich.txt": "{\\rtf is the first word of RTF.",
    "ogg.txt": "OggS is a capture pattern.",
    "base.txt": "SQLite format 3 has pages.",
    "note.txt": "It must begin with %PDF-1.5, says the manual.",
    "first.txt": "%PDF-1.4 is the header of many PDF files.",
    "code.py": "HEAD = b'%PDF-'",
    "tar.txt": "x" * 257 + "ustar is at this place of a tar file.",
    "diary.txt": "From Rome to Naples in May 1884\nDay-one: we left.\n\nFrom Naples we sailed on.",
    "train.txt": "From Rome, Mon 5 May 1884, by train\nNote: late.",
    "calendar.txt": "BEGIN:VCALENDAR is how calendars begin.",
    "key.txt": '{ "nbformat" is a key of notebooks.',
    "list.txt": "Date: Monday\nI had it from: Ann. Subject: none, to: all.",
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_with_magic_words_is_read_whole(tmp_path: Path, name: str) -> None:
    document = read_one(write_lines(tmp_path / name, TEXTS[name]))
    assert document.text == TEXTS[name]


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (pdf_file([["words"]]), "pdf"),
        (b"\n\x00\x01junk %PDF-1.4", "pdf"),
        (packed({"a.txt": "%PDF-1.4"}), "zip"),
        (b"PAR1\x15\x00\x15\x10", "parquet"),
        (b"From ann@example.org Mon Jan  1 10:00:00 2024\nSubject: s\n\nt", "mbox"),
        (b"From - Sat, 2 Mar 2024 10:00:00 +0100\nX-Mozilla-Status: 0\n", "mbox"),
        ("<html><body>".encode("utf-16"), "html"),
        (b'<?xml version="1.0"?>\n<?mso-application progid="Excel.Sheet"?>', "sheet"),
    ],
)
def test_first_bytes_win_over_the_suffix(head: bytes, found: str) -> None:
    assert refine(detect(head, "file.txt"), io.BytesIO(head), "file.txt").name == found


@pytest.mark.parametrize(
    "head", [b"Rar!\x1a\x07\x00", b"GIF89a\x01\x00\x01\x00", b"MZ\x90\x00", b"ID3\x03\x00", b"{\\rtf1\\ansi x}"]
)
def test_binary_files_without_a_reader_are_skipped(head: bytes) -> None:
    with pytest.raises(SkippedFile, match="not a format that is read"):
        detect(head, "file.txt")
