"""Dropping a collection removes it, never what a link of its name points to."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest

from indexer.building.collection_lifecycle import drop_collection, remove_leftovers
from retrieval.errors import CollectionLocked
from retrieval.util.files import locked
from retrieval.util.temporaries import temporary_path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def contents(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_dropped_collection_is_gone(bench: Any) -> None:
    bench.add(bench.document("a"))
    (bench.path / "notes.txt").write_text("a file of the user goes with its directory")
    drop_collection(bench.path)
    assert names(bench.folder) == []


def test_of_a_link_only_the_link_is_dropped(bench: Any) -> None:
    bench.add(bench.document("a"))
    before = contents(bench.path)
    root = bench.folder / "served"
    root.mkdir()
    for name, target in (("direct", bench.path), ("twice", root / "direct")):
        (root / name).symlink_to(target)
    (root / "relative").symlink_to(os.path.relpath(bench.path, root))
    for name in ("twice", "direct", "relative"):
        drop_collection(root / name)
        remove_leftovers(root)
    assert names(root) == []
    assert contents(bench.path) == before


def test_a_collection_that_another_process_writes_is_not_dropped(bench: Any) -> None:
    bench.add(bench.document("a"))
    with locked(bench.path / "lock"), pytest.raises(CollectionLocked):
        drop_collection(bench.path, wait_s=0)
    assert (bench.path / "manifest.json").exists()


def test_a_leftover_that_cannot_be_removed_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stuck, loose = temporary_path(tmp_path / "stuck"), temporary_path(tmp_path / "loose")
    for folder in (stuck, loose):
        folder.mkdir()
    rmdir = Path.rmdir

    def refuse(path: Path) -> None:
        if path == stuck:
            raise PermissionError(1, "Operation not permitted")
        rmdir(path)

    monkeypatch.setattr(Path, "rmdir", refuse)
    with caplog.at_level(logging.WARNING):
        remove_leftovers(tmp_path)
    assert names(tmp_path) == [stuck.name]
    assert "cannot be removed" in caplog.text
    assert stuck.name in caplog.text
