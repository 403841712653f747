"""Archives: members, damaged members, and dates."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from indexer.readers.base.outcomes import FileOutcome
from indexer.readers.formats.dispatch import utc_date
from indexer.readers.opening import open_documents
from retrieval.errors import BadDocument
from retrieval.types import Document
from tests.indexer.readers.samples import packed


def archives(folder: Path) -> Iterator[Path]:
    parts = {
        "in/a.md": "# A\n\ntext",
        "in/r.jsonl": '{"id": "r", "text": "x"}\n{',
        "in/p.png": "\x89PNG",
        ".hidden.md": "h",
    }
    (folder / "z.zip").write_bytes(packed(parts))
    yield folder / "z.zip"
    with tarfile.open(folder / "t.tgz", "w:gz") as archive:
        for name, text in parts.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
        link = tarfile.TarInfo("in/link.md")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    yield folder / "t.tgz"


def test_members_without_a_reader_are_named(tmp_path: Path) -> None:
    for path in archives(tmp_path):
        outcomes: list[FileOutcome] = []
        list(open_documents(path, on_file=outcomes.append))
        part, whole = outcomes
        assert (part.path, part.status) == (f"{path}/in/p.png", "skipped")
        assert part.reason.startswith("text of a kind that its name does not tell")
        assert whole.status == "read"


def test_members_that_lead_out_of_the_archive_are_named(tmp_path: Path) -> None:
    (tmp_path / "z.zip").write_bytes(packed({"../out.txt": "text", "/abs.txt": "text", "in.txt": "inside"}))
    outcomes: list[FileOutcome] = []
    [document] = open_documents(tmp_path / "z.zip", on_file=outcomes.append)
    assert isinstance(document, Document)
    assert document.text == "inside"
    assert [each.reason for each in outcomes[:-1]] == ["its name leads out of the archive"] * 2


def test_archives(tmp_path: Path) -> None:
    for path in archives(tmp_path):
        items = list(open_documents(path))
        documents = [item for item in items if isinstance(item, Document)]
        assert [d.id for d in documents] == [f"{path.name}/in/a.md", "r"]
        assert documents[0].metadata["path"] == f"{path.name}/in/a.md"
        [bad] = [item for item in items if isinstance(item, BadDocument)]
        assert f"{path}/in/r.jsonl:2: not JSON" in str(bad)


def test_a_damaged_member_is_one_error(tmp_path: Path) -> None:
    parts = {
        "a.txt": "first",
        "b.ipynb": '{"nbformat": 3, "worksheets": 5}',
        "c.json": '{"x":' + "[" * 988 + "]" * 988 + "}",
        "d.txt": "last",
    }
    (tmp_path / "odd.zip").write_bytes(packed(parts))
    first, *odd, last = open_documents(tmp_path / "odd.zip")
    assert [getattr(each, "text", "") for each in (first, last)] == ["first", "last"]
    assert "odd.zip/b.ipynb: damaged or unreadable: TypeError" in str(odd[0])


def test_invalid_dates_are_left_out(tmp_path: Path) -> None:
    """Read a file with a year beyond 9999, and leave out its date."""
    (tmp_path / "a.txt").write_text("Some text")
    with contextlib.suppress(OSError):  # some file systems cannot store such a date
        os.utime(tmp_path / "a.txt", (1e12, 1e12))
    with tarfile.open(tmp_path / "b.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("c.txt")
        member.size, member.mtime = 5, 10**13
        archive.addfile(member, io.BytesIO(b"hello"))
    one, other = open_documents(tmp_path)
    assert isinstance(one, Document)
    assert isinstance(other, Document)
    assert one.text == "Some text"
    assert "modified" not in other.metadata
    assert [utc_date(seconds) for seconds in (0, 1e12, float("nan"))] == ["1970-01-01T00:00:00+00:00", "", ""]


@pytest.mark.parametrize(
    ("encoding", "name"), [("cp437", "Größe.txt"), ("cp932", "報告書.txt"), ("gbk", "水位记录.txt")]
)
def test_names_of_members_in_legacy_encodings(tmp_path: Path, encoding: str, name: str) -> None:
    raw = name.encode(encoding)
    placeholder = "n" * len(raw)
    (tmp_path / "z.zip").write_bytes(packed({placeholder: "some words"}).replace(placeholder.encode(), raw))
    with tarfile.open(tmp_path / "t.tar", "w", encoding=encoding, format=tarfile.GNU_FORMAT) as archive:
        member = tarfile.TarInfo(name)
        member.size = 5
        archive.addfile(member, io.BytesIO(b"hello"))
    found = [item.id for item in open_documents(tmp_path) if isinstance(item, Document)]
    assert found == [f"t.tar/{name}", f"z.zip/{name}"]
