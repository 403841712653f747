"""Folders: which files are read, and which failures are reported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import FileOutcome, FileStatus
from indexer.readers.opening import open_documents
from indexer.sources.folders import walk
from retrieval.errors import InputError
from retrieval.types import Document

WALK_UNPRIVILEGED = """
import os, pathlib, sys, pathspec
from indexer.readers.base.options import ReadOptions
from indexer.sources.folders import find_beir_corpus
from indexer.sources.folders import walk
os.chdir(sys.argv[1])
if os.geteuid() == 0:
    os.seteuid(65534)
print(find_beir_corpus(pathlib.Path("entered")))
for found in walk(pathlib.Path("."), ReadOptions()):
    print(found.origin.name, found.failed, sep=": ")
"""


def test_folder_walk(tmp_path: Path) -> None:
    files = ("b/x.md", "a.txt", ".hidden/y.md", "b/skip.log", "b/keep.log", "out/z.md", "node_modules/n.md", "p.png")
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n" if name == "p.png" else b"# Some text")
    (tmp_path / ".gitignore").write_text("*.log\n!keep.log\nout/\n")
    (tmp_path / "link.md").symlink_to(tmp_path / "a.txt")
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.md")
    (tmp_path / "nothing.txt").touch()
    heard: list[FileOutcome] = []

    def names(options: ReadOptions) -> list[str]:
        heard.clear()
        return [item.id for item in open_documents(tmp_path, options, heard.append) if isinstance(item, Document)]

    assert names(ReadOptions()) == ["a.txt", "b/keep.log", "b/x.md"]
    assert [(o.path, o.status) for o in heard if o.status is not FileStatus.READ] == [
        (str(tmp_path / "nothing.txt"), FileStatus.SKIPPED),
        (str(tmp_path / "p.png"), FileStatus.SKIPPED),
    ]
    assert names(ReadOptions(include=("*.md",), hidden=True)) == [".hidden/y.md", "b/x.md"]
    assert names(ReadOptions(exclude=("b/",), ignore_files=False, id_prefix="n/")) == ["n/a.txt", "n/out/z.md"]


def test_invalid_patterns(tmp_path: Path) -> None:
    """Ignore invalid lines of ignore files, as git does; refuse those of the caller."""
    for name in ("a.txt", "b.log"):
        (tmp_path / name).write_text("Some text")
    (tmp_path / ".gitignore").write_text("!\n*.log\na\\\n")
    assert [each.origin.name for each in walk(tmp_path, ReadOptions())] == ["a.txt"]
    with pytest.raises(InputError, match="'!' is not a pattern"):
        open_documents(tmp_path, ReadOptions(exclude=("!",)))


def test_a_folder_that_cannot_be_listed_is_a_failure(tmp_path: Path) -> None:
    """A path too long for the system stands for a folder that cannot be listed."""
    deep = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=deep)
        outer, deep = deep, os.open("d" * 250, os.O_RDONLY, dir_fd=deep)
        os.close(outer)
    os.close(deep)
    (tmp_path / "e.txt").write_text("Some text")
    heard: list[FileOutcome] = []
    bad, document = open_documents(tmp_path, on_file=heard.append)
    assert isinstance(document, Document)
    assert "cannot be listed: File name too long" in str(bad)
    assert [outcome.status for outcome in heard] == [FileStatus.FAILED, FileStatus.READ]


def test_folders_and_ignore_files_without_permission(tmp_path: Path) -> None:
    for name in ("shut", "entered", "silent", "open"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.txt").write_text("Some text")
    tmp_path.chmod(0o755)
    (tmp_path / "silent" / ".gitignore").touch(mode=0)
    (tmp_path / "entered").chmod(0o644)  # its names can be listed, but not its files
    (tmp_path / "shut").chmod(0)
    command = [sys.executable, "-c", WALK_UNPRIVILEGED, str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    for name in ("entered", "shut"):
        (tmp_path / name).chmod(0o755)
    assert found == [
        "None",
        "entered: cannot be listed: Permission denied",
        "open/x.txt: ",
        "shut: cannot be listed: Permission denied",
        "silent/: its .gitignore cannot be read: Permission denied",
    ]
