"""Operations on small collections, a file system that fails, and checks."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from indexer.maintenance.background_merge import merge_collection
from indexer.maintenance.rollback import roll_back
from indexer.writing.garbage import Retention, collect_garbage, orphaned_paths
from indexer.writing.pending_generation import SegmentLimits
from indexer.writing.resume_journal import JOURNAL
from retrieval.errors import NotACollection
from retrieval.index.collection.index_reader import open_index_reader
from retrieval.index.storage.manifest import MANIFEST, kept_generations, read_manifest, was_committed
from retrieval.util.files import Files

Operation = Callable[[Any, Files], object]
State = dict[str, str] | None


class Died(BaseException):
    """The process is dead: none of its later steps reaches the disk."""


class Faulty(Files):
    """A file system that calls `before(step, path)` ahead of each step.

    An error that `before` raises replaces the step.  fsync does nothing.
    """

    def __init__(self, before: Callable[[str, Path], None]) -> None:
        self.before = before
        self.torn = False

    def create(self, path: Path) -> int:
        self.before("create", path)
        return super().create(path)

    def write(self, descriptor: int, path: Path, data: bytes | memoryview) -> int:
        try:
            self.before("write", path)
        except Died:
            if not self.torn:
                self.torn = True
                os.write(descriptor, data[: len(data) // 2])
            raise
        return super().write(descriptor, path, data)

    def sync(self, descriptor: int, path: Path) -> None:  # noqa: ARG002
        self.before("sync", path)

    def sync_directory(self, path: Path) -> None:
        self.before("sync_directory", path)

    def rename(self, source: Path, target: Path) -> None:
        self.before("rename", target)
        super().rename(source, target)

    def link(self, source: Path, target: Path) -> None:
        self.before("link", target)
        super().link(source, target)

    def unlink(self, path: Path) -> None:
        self.before("unlink", path)
        super().unlink(path)

    def make_directory(self, path: Path) -> None:
        self.before("make_directory", path)
        super().make_directory(path)

    def remove_directory(self, path: Path) -> None:
        self.before("remove_directory", path)
        super().remove_directory(path)


def index(bench: Any, files: Files) -> None:
    """Run a first build of several segments, which are merged at the end."""
    with bench.writer(files=files, limits=SegmentLimits(passages=4)) as writer:
        for number in range(6):
            bench.put(writer, [bench.document(f"n{number}", year=number), bench.document("n0", f"again {number}")])
        writer.commit()


def add(bench: Any, files: Files) -> None:
    with bench.writer(files=files) as writer:
        bench.put(writer, [bench.document("d1", "new text"), bench.document("e", "a text that becomes two passages")])
        writer.commit()


def update(bench: Any, files: Files) -> None:
    """Give documents of two segments new metadata, one of them a new field."""
    with bench.writer(files=files) as writer:
        documents = writer.stored(["d0", "d1", "d5"])
        writer.update_metadata([replace(each, metadata={"year": 7}) for each in documents.values()])
        writer.commit()


def delete(bench: Any, files: Files) -> None:
    with bench.writer(files=files) as writer:
        writer.delete(["d0", "d5"])
        writer.commit()


def merge(bench: Any, files: Files) -> None:
    merge_collection(bench.path, fully=True, retention=Retention(1), files=files)


def rollback(bench: Any, files: Files) -> None:
    roll_back(bench.path, files=files)


def garbage(bench: Any, files: Files) -> None:
    collect_garbage(bench.path, Retention(1), files)


CHANGES = (add, update, delete, merge, rollback, garbage)


def grown(bench: Any) -> None:
    """Make three generations of several segments, with a few deleted documents."""
    bench.add(*(bench.document(f"d{n}") for n in range(4)))
    bench.add(*(bench.document(f"d{n}", "a text that becomes two passages") for n in range(3, 8)))
    delete_one = bench.writer()
    with delete_one as writer:
        writer.delete(["d2"])
        writer.commit()


def state(path: Path) -> State:
    """Return the documents that a reader finds, checked; None without a collection."""
    try:
        reader = open_index_reader(path)
    except NotACollection:
        return None
    with reader:
        reader.check_all()
        rows = np.flatnonzero(reader.live_documents)
        documents = reader.documents(rows)
        assert [reader.find(each.id) for each in documents] == rows.tolist()
        assert len({each.id for each in documents}) == len(documents) == reader.manifest.documents
        assert int(reader.live.sum()) == reader.manifest.passages
        assert len(reader.vectors) == reader.rows
        years = {each.id: each.metadata.get("year", "") for each in documents}
        return {each.id: f"{each.text}{years[each.id]}" for each in documents}


def clean(path: Path) -> bool:
    """Check that there is no file that no kept generation names."""
    current = read_manifest(path)
    kept = [read_manifest(path, number) for number in kept_generations(path)]
    return kept[-1].generation == current.generation and not orphaned_paths(path, [current, *kept])


def copied(bench: Any, name: str) -> Any:
    """Return a bench with a copy of the collection."""
    folder = bench.folder / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if bench.path.exists():
        shutil.copytree(bench.path, folder / "collection")
    return type(bench)(folder, bench.settings)


def steps_of(bench: Any, operation: Operation) -> list[str]:
    """Run an operation on a copy, and return its steps."""
    steps: list[str] = []
    whole = copied(bench, "whole")
    operation(whole, Faulty(lambda step, _: steps.append(step)))
    assert clean(whole.path)
    return steps


def allowed_states(bench: Any) -> list[State]:
    """Return the state before an operation, and after it in the copy of `steps_of`."""
    return [state(bench.path), state(bench.folder / "whole" / "collection")]


def bring_in(bench: Any, files: Files | None = None) -> None:
    """Make a complete first generation current, whose writer died just before that.

    The error message says that a rollback does it.
    """
    if was_committed(bench.path) and not (bench.path / MANIFEST).exists():
        roll_back(bench.path, files=files)


def check_survivor(survivor: Any, allowed: list[State]) -> None:
    """Check that a reader finds an allowed state, and that the next writer cleans up."""
    bring_in(survivor)
    found = state(survivor.path)
    assert found in allowed
    survivor.add(survivor.document("z"))
    assert state(survivor.path) == {**(found or {}), "z": "text of z"}
    assert clean(survivor.path)


def nothing_half_done(path: Path) -> bool:
    """Check that a failed build left a collection, finished segments, or no directory."""
    return (path / MANIFEST).exists() or (path / JOURNAL).exists() or not path.exists()


def dying_at(fatal: int) -> Faulty:
    """Return a file system in which no step from number `fatal` on happens."""
    numbers = itertools.count()

    def before(step: str, path: Path) -> None:
        if next(numbers) >= fatal:
            raise Died(step, path)

    return Faulty(before)
