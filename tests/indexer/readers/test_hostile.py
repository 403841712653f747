"""Bombs, crashes, hangs and memory use cost one error each and leave no files."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tempfile
import threading
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from indexer.readers.base.options import ReadLimits, ReadOptions
from indexer.readers.base.outcomes import FileOutcome, FileStatus
from indexer.readers.opening import open_documents
from retrieval.errors import BadDocument
from retrieval.types import Document
from tests.indexer.readers.reading import add_format

HOSTILE_READER = """
import ctypes, os, time
from indexer.readers.formats.format_table import read_parsed
from indexer.readers.formats.plain_text import parse_prose
def read_hostile(stream, origin, options):
    what = stream.read().decode()
    if what == "crash": ctypes.string_at(0)
    if what == "abort": os.abort()
    if what == "exit": os._exit(9)
    if what == "hang": time.sleep(600)
    if what == "spin":
        while True: pass
    if what == "eat": held = [bytearray(1 << 26) for _ in range(1000)]
    if what == "talk": print("noise" * 1000, flush=True)
    if what == "work":
        for _ in range(4):
            time.sleep(1)
            options.report_progress()
    if what == "lie":
        from indexer.readers.sandbox.wire import write_frame
        write_frame(options.report_progress.answers, {"document": {"id": "", "text": "", "title": "", "metadata": []}})
    if what == "mute":
        os.close(options.report_progress.answers.fileno())
        time.sleep(600)
    if what == "leave": open(os.path.join(os.environ["TMPDIR"], "left"), "w").close()
    if what == "flood":
        from retrieval.types import Document
        while True: yield Document("x", "x" * 1_000_000)
    stream.seek(0)
    yield from read_parsed(parse_prose, stream, origin, options, origin.name)
"""


@pytest.fixture
def trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder for files of a format whose parser does what the file says."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))  # other runs use the system's folder
    add_format(monkeypatch, tmp_path / "site", 'Format("toy", reader="toy:read_hostile")', HOSTILE_READER)
    folder = tmp_path / "files"
    folder.mkdir()
    return folder


def leftovers() -> set[Path]:
    """Return the temporary files of the readers."""
    return set(Path(tempfile.gettempdir()).glob(".attendex-read.*"))


LIMITS = ReadLimits(wall_seconds=60, cpu_seconds=2, memory_bytes=600 << 20, text_bytes=8 << 20)


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("crash", "the parser crashed (SIGSEGV)"),
        ("exit", "the parser crashed (status 9)"),
        ("abort", "the parser gave up, as it does when 600 MB of memory are too little"),
        ("hang", "gave no sign of life for 4 s"),
        ("lie", "the parser's answer broke off"),
        ("mute", "the parser crashed (SIGKILL)"),
        ("spin", "needs more than 2 s of computing time"),
        ("eat", "needs more than 600 MB of memory"),
        ("flood", "gives more than"),
    ],
)
def test_a_hostile_file_is_one_error(trouble: Path, what: str, reason: str) -> None:
    for name, content in (("1", "fine"), ("2", what), ("3", "talk"), ("4", "leave")):
        (trouble / name).write_text(content)
    heard: list[FileOutcome] = []
    before = leftovers()
    limits = replace(LIMITS, wall_seconds=4) if what == "hang" else LIMITS
    options = ReadOptions(format="toy", workers=1, limits=limits)
    items = list(open_documents(trouble, options, heard.append))
    read = [item.id for item in items if isinstance(item, Document) and item.id != "x"]
    [bad] = [item for item in items if isinstance(item, BadDocument)]
    assert read == ["1", "3", "4"]
    assert reason in str(bad)
    assert str(trouble / "2") in str(bad)
    assert [o.status for o in heard if o.path.endswith("2")] in ([FileStatus.FAILED], [FileStatus.READ])
    assert leftovers() <= before


def test_signs_of_life_keep_long_work_going(trouble: Path) -> None:
    (trouble / "1").write_text("work")
    options = ReadOptions(format="toy", workers=1, limits=replace(LIMITS, wall_seconds=3))
    [item] = open_documents(trouble, options)
    assert isinstance(item, Document), "four seconds of work, a sign of life each second"


def test_a_slow_reader_is_no_hang_of_the_parser(tmp_path: Path) -> None:
    (tmp_path / "many.json").write_text(json.dumps([{"id": str(number), "text": "x"} for number in range(500)]))
    items = open_documents(tmp_path / "many.json", ReadOptions(limits=replace(LIMITS, wall_seconds=2)))
    assert isinstance(next(items), Document)
    time.sleep(4)
    assert sum(isinstance(item, Document) for item in items) == 499


def test_a_file_of_many_records_needs_few_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    start = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", lambda thread: (started.append(thread.name), start(thread)))
    (tmp_path / "many.json").write_text(json.dumps([{"id": str(number), "text": "x"} for number in range(500)]))
    assert sum(1 for _ in open_documents(tmp_path / "many.json", ReadOptions(workers=1))) == 500
    assert started == ["attendex-parser", "attendex-watchdog"]


def test_giving_up_in_the_middle_stops_the_processes(trouble: Path) -> None:
    for number in range(20):
        (trouble / str(number)).write_text("hang" if number else "fine")
    started = time.monotonic()
    items = open_documents(trouble, ReadOptions(format="toy", workers=2))
    assert isinstance(next(items), Document)
    items.close()  # type: ignore[attr-defined]  # it is a generator
    assert time.monotonic() - started < ReadLimits().wall_seconds / 2


def zip_bomb(path: Path, members: int, size: int, suffix: str = ".txt") -> None:
    """Write an archive of `members` files of `size` zeros, with true sizes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(members):
            archive.writestr(f"{number}{suffix}", bytes(size))


def lying_zip(path: Path) -> None:
    """Write an archive that declares 10 bytes and expands to 50 MB."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", bytes(50 << 20))
    data = bytearray(buffer.getvalue())
    directory = data.rindex(b"PK\x01\x02")
    data[directory + 24 : directory + 28] = struct.pack("<I", 10)
    path.write_bytes(data)


def test_a_ten_gigabyte_bomb_is_refused_at_once(tmp_path: Path) -> None:
    """The archive's directory has the sizes, so that a refusal decompresses no data."""
    member = io.BytesIO()
    with zipfile.ZipFile(member, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.txt", bytes(10 << 20))
    data = member.getvalue()
    local_end = data.index(b"PK\x01\x02")
    entry = data[local_end : data.index(b"PK\x05\x06")]
    broken = data[:64].ljust(local_end, b"\0")  # to decompress it is an error of another kind
    entries = entry * 1024  # one file listed a thousand times: overlapping, 10 GB in all
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1024, 1024, len(entries), local_end, 0)
    path = tmp_path / "bomb.zip"
    path.write_bytes(broken + entries + end)
    [bad] = open_documents(path, ReadOptions(limits=ReadLimits(memory_bytes=200 << 20)))
    assert isinstance(bad, BadDocument)
    assert "decompression bomb" in str(bad)


def test_other_bombs(tmp_path: Path) -> None:
    zip_bomb(tmp_path / "many.zip", 20_000, 1)
    lying_zip(tmp_path / "lying.zip")
    (tmp_path / "gz.md.gz").write_bytes(gzip.compress(bytes(200 << 20)))
    inner = b"text"
    for _ in range(8):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("deeper.zip" if inner != b"text" else "a.txt", inner)
        inner = buffer.getvalue()
    (tmp_path / "nested.zip").write_bytes(inner)
    reasons = [str(item) for item in open_documents(tmp_path) if isinstance(item, BadDocument)]
    assert len(reasons) == 4
    for part in ("holds 20,000 members", "damaged or protected", "decompression bomb does", "nested more than 3 deep"):
        assert any(part in reason for reason in reasons), (part, reasons)


def office(document: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", document)
    return buffer.getvalue()


def test_hostile_markup(tmp_path: Path) -> None:
    laughs = (
        "<!DOCTYPE x [<!ENTITY a 'ha'>" + "".join(f"<!ENTITY a{i} '{'&a;' * 10}'>" for i in range(9)) + "]><x>&a8;</x>"
    )
    (tmp_path / "laughs.docx").write_bytes(office(laughs))
    (tmp_path / "deep.docx").write_bytes(office("<a>" * 100_000 + "</a>" * 100_000))
    (tmp_path / "deep.html").write_text("<!doctype html><body>" + "<div>" * 200_000 + "text")
    (tmp_path / "deep.json").write_text("[" * 500_000)
    (tmp_path / "deep.md").write_text(">" * 50_000 + " text\n" + "[" * 50_000)
    (tmp_path / "deep.ipynb").write_text('{"nbformat": 4, "cells": ' + "[" * 100_000)
    (tmp_path / "cut.pdf").write_bytes(b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog")
    items = list(open_documents(tmp_path, ReadOptions(limits=ReadLimits(cpu_seconds=20))))
    reasons = {Path(str(item.path)).name: str(item) for item in items if isinstance(item, BadDocument)}
    assert "declares XML entities" in reasons["laughs.docx"]
    assert "nested more than 4,000 deep" in reasons["deep.html"]
    assert "damaged" in reasons["cut.pdf"]
    assert set(reasons) >= {"deep.json", "deep.ipynb", "cut.pdf"}
    assert not any("computing time" in reason for reason in reasons.values())
