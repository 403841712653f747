"""A scratch copy is one complete generation, even while writers commit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from indexer.maintenance import linked_copy as copies
from indexer.maintenance.linked_copy import linked_copy
from indexer.maintenance.verify import verify
from indexer.writing.writer import Writer
from retrieval.errors import CorruptCollection, NotACollection
from retrieval.index.storage.manifest import read_manifest
from tests.indexer.faults import state


def test_a_copy_beside_a_writer_is_of_one_generation(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.add(bench.document("a"))
    link = copies._link
    linked: list[Path] = []

    def slow(source: Path, target: Path) -> None:
        linked.append(source)
        if len(linked) == 3:
            for number in range(4):
                bench.add(bench.document("a", f"version {number}"))
        link(source, target)

    monkeypatch.setattr(copies, "_link", slow)
    with linked_copy(bench.path) as copy:
        assert read_manifest(copy).generation == 5
        assert state(copy) == {"a": "version 3"}
        assert verify(copy).ok, verify(copy)


def test_writing_to_a_copy_while_a_writer_has_the_lock(bench: Any) -> None:
    bench.add(bench.document("a"))
    with bench.writer(), linked_copy(bench.path) as copy:
        with Writer(copy) as writer:
            bench.put(writer, [bench.document("b")])
            assert writer.commit() == 2
        assert sorted(state(copy) or {}) == ["a", "b"]
    assert state(bench.path) == {"a": "text of a"}


def test_what_cannot_be_copied_is_named(bench: Any) -> None:
    with pytest.raises(NotACollection), linked_copy(bench.folder / "nothing"):
        pass
    bench.add(bench.document("a"))
    (lost, *_) = read_manifest(bench.path).paths()
    (bench.path / lost).unlink()
    with pytest.raises(CorruptCollection, match=f"{lost.name}: is missing"), linked_copy(bench.path):
        pass
