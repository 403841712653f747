"""`--sync` deletes what is gone, and keeps what a file that could not be read may hold."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest

from indexer.building.pipeline import BuildReport, BuildSettings, build_collection
from indexer.commands.build_output import show_files
from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import FileReport
from indexer.writing.record_files import RECORD_FILES
from retrieval.errors import BadDocument, InputError
from retrieval.index.collection.index_reader import open_index_reader

DAMAGED = b"%PDF-1.4 cut"


def row(name: str) -> bytes:
    return json.dumps({"id": name, "text": f"About {name}."}).encode() + b"\n"


def archive(path: Path, members: Mapping[str, bytes]) -> None:
    with ZipFile(path, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of files, of records and of an archive with both."""
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.txt", "sub/b.txt", "gone.txt"):
        (folder / name).write_text(f"The text of {name}.")
    (folder / "rows.jsonl").write_bytes(row("1") + row("2"))
    archive(folder / "box.zip", {"c.txt": b"The text of c.", "more.jsonl": row("3")})
    return folder


def run(folder: Path, **settings: Any) -> BuildReport:
    return build_collection([folder], folder.parent / "c", BuildSettings(sync=True, **settings))


def ids(collection: Path) -> set[str]:
    with open_index_reader(collection) as reader:
        rows = np.flatnonzero(reader.live_documents)
        return {document.id for document in reader.documents(rows)}


ALL = {"a.txt", "sub/b.txt", "gone.txt", "1", "2", "3", "box.zip/c.txt"}


def test_a_file_that_was_never_in_the_collection_keeps_nothing(folder: Path) -> None:
    never = {
        "never.pdf": DAMAGED,
        "never.jsonl": b"{not json\n",
        "never.csv": b"",
        "never.txt": b"",
        "n.zip": b"PK\3\4",
    }
    run(folder)
    assert ids(folder.parent / "c") == ALL
    for name, data in never.items():
        (folder / name).write_bytes(data)
    (folder / "gone.txt").unlink()
    (folder / "rows.jsonl").write_bytes(row("2"))
    report = run(folder)
    assert ids(folder.parent / "c") == ALL - {"gone.txt", "1"}
    assert (report.deleted, report.kept_unseen) == (2, False)


@pytest.mark.parametrize(
    ("name", "data", "kept"),
    [
        ("a.txt", b"", {"a.txt"}),
        ("a.txt", bytes(600), {"a.txt"}),
        ("sub/b.txt", bytes(600), {"sub/b.txt"}),
        ("rows.jsonl", b"", {"1", "2", "3"}),
        ("rows.jsonl", b"{not json\n", {"1", "2", "3"}),
        ("box.zip", b"", {"1", "3", "box.zip/c.txt"}),
        ("box.zip", b"PK\3\4", {"1", "3", "box.zip/c.txt"}),
    ],
)
def test_a_file_keeps_its_own_documents(folder: Path, name: str, data: bytes, kept: set[str]) -> None:
    """A file is empty, or cut, for a moment while it is written anew."""
    run(folder)
    (folder / "gone.txt").unlink()
    (folder / "rows.jsonl").write_bytes(row("2"))
    (folder / name).write_bytes(data)
    report = run(folder)
    assert ids(folder.parent / "c") == (ALL - {"gone.txt", "1"}) | kept
    assert report.kept_unseen
    assert report.problems


def test_what_stayed_is_deleted_once_all_is_read(folder: Path) -> None:
    run(folder)
    for name, data in (("rows.jsonl", b""), ("rows.jsonl", b""), ("rows.jsonl", row("2"))):
        (folder / name).write_bytes(data)
        report = run(folder)
    assert (report.deleted, report.kept_unseen) == (1, False)
    assert ids(folder.parent / "c") == ALL - {"1"}


def test_a_folder_that_cannot_be_listed_keeps_what_it_held(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(folder)
    (folder / "gone.txt").unlink()
    (folder / "rows.jsonl").write_bytes(row("2"))
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if Path(path) == folder / "sub":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    report = run(folder)
    assert ids(folder.parent / "c") == ALL - {"gone.txt", "1"}
    assert (report.deleted, report.kept_unseen) == (2, True)


def test_an_archive_keeps_the_member_that_is_damaged(folder: Path) -> None:
    run(folder)
    (folder / "gone.txt").unlink()
    archive(folder / "box.zip", {"c.pdf": DAMAGED, "more.jsonl": row("3")})
    run(folder)
    assert ids(folder.parent / "c") == ALL - {"gone.txt"}


def test_a_rejected_document_keeps_its_earlier_version(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.md").write_text(f"---\nyear: 2024\n---\nThe text of {name}.")
    run(folder)
    (folder / "a.md").write_text("---\nyear: unknown\n---\nOther text.")
    (folder / "b.md").unlink()
    report = run(folder)
    assert ids(tmp_path / "c") == {"a.md", "c.md"}
    assert (report.deleted, report.kept_unseen) == (1, True)


@pytest.mark.parametrize("is_single", [True, False])
def test_a_source_that_vanished_changes_nothing(folder: Path, is_single: bool) -> None:
    other = folder.parent / "other"
    other.mkdir()
    (other / "d.txt").write_text("The text of d.")
    sources = [folder] if is_single else [folder, other]
    build_collection(sources, folder.parent / "c")
    before = ids(folder.parent / "c")
    shutil.rmtree(folder)
    with pytest.raises(BadDocument, match="no such file or folder"):
        build_collection(sources, folder.parent / "c", BuildSettings(sync=True))
    assert ids(folder.parent / "c") == before


def test_a_mount_that_is_empty_keeps_what_it_held(folder: Path) -> None:
    """A network folder is an empty one while it is not mounted."""
    other, notes = folder.parent / "other", folder.parent / "notes"
    for each in (other, notes):
        each.mkdir()
    (other / "d.txt").write_text("The text of d.")
    (other / "e.txt").write_text("The text of e.")
    build_collection([folder, other, notes], folder.parent / "c")
    before = ids(folder.parent / "c")
    (other / "e.txt").unlink()
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    build_collection([folder, other, notes], folder.parent / "c", BuildSettings(sync=True))
    assert ids(folder.parent / "c") == before - {"other/e.txt"}
    with pytest.raises(InputError, match="nothing was changed"):
        build_collection([folder], folder.parent / "c", BuildSettings(sync=True))
    assert ids(folder.parent / "c") == before - {"other/e.txt"}


def test_an_empty_source_that_gave_nothing_keeps_nothing(folder: Path) -> None:
    (notes := folder.parent / "notes").mkdir()
    build_collection([folder, notes], folder.parent / "c")
    (folder / "gone.txt").unlink()
    (folder / "rows.jsonl").write_bytes(row("2"))
    report = build_collection([folder, notes], folder.parent / "c", BuildSettings(sync=True))
    assert (report.deleted, report.kept_unseen) == (2, False)


@pytest.mark.parametrize("is_damaged", [True, False])
def test_a_collection_without_the_names_of_its_record_files_keeps_more(folder: Path, is_damaged: bool) -> None:
    """An older collection, or a restored one: any file of a format with records may have given them."""
    run(folder)
    path = folder.parent / "c" / RECORD_FILES
    path.write_bytes(b"damaged") if is_damaged else path.unlink()
    (folder / "rows.jsonl").write_bytes(row("2"))
    (folder / "gone.txt").unlink()
    (folder / "never.zip").write_bytes(b"PK\3\4")
    run(folder)
    assert ids(folder.parent / "c") == ALL - {"gone.txt"}
    (folder / "never.zip").unlink()
    (folder / "never.pdf").write_bytes(DAMAGED)
    run(folder)
    assert ids(folder.parent / "c") == ALL - {"gone.txt", "1"}
    (folder / "never.zip").write_bytes(b"PK\3\4")
    (folder / "rows.jsonl").write_bytes(row("4"))
    assert run(folder).deleted == 1


def test_failed_files_stand_first_in_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(30):
        (folder / f"a{number:02}.txt").touch()
    (folder / "b.jsonl").write_bytes(row("1") + b"{not json\n")
    (folder / "z.pdf").write_bytes(DAMAGED)
    with FileReport() as files:
        report = build_collection([folder], tmp_path / "c", on_file=files)
    show_files(files, report)
    table = capsys.readouterr().err.split("reason", 1)[1]
    assert re.findall(r"\s(failed|read)\s", table) == ["failed", "read"]
    assert f"skipped: is empty: {folder / 'a00.txt'} and 29 more" in table


def test_nothing_is_cut_off_without_a_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "good.jsonl").write_bytes(row("1"))
    for number in range(25):
        (folder / f"{number}.jsonl").write_bytes(b"{not json\n")
    with FileReport() as files:
        report = build_collection([folder], tmp_path / "c", on_file=files)
    show_files(files, report)
    assert "… and 5 more files with problems; --report FILE lists all of them" in capsys.readouterr().err


def test_a_file_keeps_the_id_of_its_folder(folder: Path) -> None:
    (folder / "sub" / "table.csv").write_text("a,b\n1,2\n")
    everything = build_collection([folder], folder.parent / "c")
    (folder / "sub" / "b.txt").write_text("Another text.")
    read = ReadOptions(root=str(folder))
    parts = [folder / "sub" / "b.txt", folder / "sub" / "table.csv"]
    report = build_collection(parts, folder.parent / "c", BuildSettings(read=read))
    assert (report.replaced, report.unchanged, report.documents) == (1, 1, everything.documents)
    assert build_collection([folder / "sub"], folder.parent / "c", BuildSettings(read=read)).unchanged == 2
    with pytest.raises(InputError, match="is not below the root"):
        build_collection(
            [folder / "sub"], folder.parent / "c", BuildSettings(read=ReadOptions(root=str(folder.parent / "c")))
        )
    with pytest.raises(InputError, match="leave one out"):
        build_collection(parts, folder.parent / "c", BuildSettings(read=read, sync=True))
