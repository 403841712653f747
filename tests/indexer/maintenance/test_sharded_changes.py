"""Shards are merged, and rolled back, in one commit, whatever step its process dies at."""

from __future__ import annotations

import shutil

import pytest

from indexer.maintenance.rollback import log_entries
from indexer.maintenance.sharded_changes import merge_all, roll_back_all
from indexer.writing.garbage import Retention
from retrieval.errors import CorruptCollection, NotACollection
from retrieval.index.storage.manifest import MANIFEST
from retrieval.index.storage.sharded_manifest import SHARDS, read_sharded_manifest, read_whole_manifest
from retrieval.util.files import Files
from tests.indexer.conftest import Bench
from tests.indexer.writing.test_sharded_writer import build, count_steps, die_at, documents, restore, state

FIRST = {f"d{n}": f"text {n}" for n in range(14)}
SECOND = FIRST | {f"d{n}": f"new {n}" for n in range(8)}
del SECOND["d9"], SECOND["d10"]


@pytest.fixture
def changed(bench: Bench) -> Bench:
    """A sharded collection with two generations."""
    build(bench, documents(bench))
    build(bench, documents(bench, 8, "new"), deletes=("d9", "d10"))
    assert state(bench.path) == SECOND
    return bench


def test_a_merge_frees_the_space_of_deleted_documents(changed: Bench) -> None:
    report = merge_all(changed.path, fully=True, retention=Retention(1))
    assert (report.generation, report.segments) == (3, 3)
    assert report.merges == 2  # the third shard has one segment, without deletions
    manifest = read_whole_manifest(changed.path)
    assert all(segment.deletions is None for segment in manifest.segments)
    assert (manifest.documents, manifest.size_bytes) == (12, report.size_bytes)
    assert state(changed.path) == SECOND
    assert [entry.generation for entry in log_entries(changed.path)] == [3]
    for shard in (changed.path / SHARDS).iterdir():
        assert len(list((shard / "segments").iterdir())) == 1
    assert merge_all(changed.path, fully=True).generation == 3
    build(changed, [changed.document("other", "other")])
    assert state(changed.path) == SECOND | {"other": "other"}


def test_a_rollback_can_be_rolled_back(changed: Bench) -> None:
    assert roll_back_all(changed.path) == 3
    assert state(changed.path) == FIRST
    assert roll_back_all(changed.path, 2) == 4
    assert state(changed.path) == SECOND
    assert log_entries(changed.path)[0].cause == "rollback to generation 2"
    build(changed, [changed.document("other", "other")])
    assert state(changed.path) == SECOND | {"other": "other"}


def test_a_rollback_repairs_a_damaged_manifest_and_refuses_damaged_files(changed: Bench) -> None:
    (changed.path / MANIFEST).write_bytes(b"{}")
    assert roll_back_all(changed.path, 2) == 3
    assert state(changed.path) == SECOND
    with pytest.raises(NotACollection):
        roll_back_all(changed.path, 17)
    damaged = next((changed.path / SHARDS / "0001" / "segments").glob("*/vectors.npy"))
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\xff")
    before = (changed.path / MANIFEST).read_bytes()
    with pytest.raises(CorruptCollection, match="differs from its digest"):
        roll_back_all(changed.path, 2)
    assert (changed.path / MANIFEST).read_bytes() == before


def merge(bench: Bench, files: Files) -> None:
    merge_all(bench.path, fully=True, retention=Retention(1), files=files)


def roll_back(bench: Bench, files: Files) -> None:
    roll_back_all(bench.path, files=files)


@pytest.mark.parametrize("change", [merge, roll_back])
def test_a_process_that_dies_leaves_the_old_generation_or_the_new_one(changed: Bench, change: object) -> None:
    kept = changed.folder / "kept"
    shutil.copytree(changed.path, kept)
    steps: list[str] = []
    count_steps(changed, change, steps)
    new = SECOND if change is merge else FIRST
    assert state(changed.path) == new
    commits = [number for number, step in enumerate(steps) if step == "rename manifest.json"]
    generations = []
    for last in sorted({0, len(steps) // 2, *commits, len(steps) - 1}):
        restore(changed, kept)
        die_at(changed, change, last)
        generation = read_sharded_manifest(changed.path).generation
        assert state(changed.path) == (new if generation == 3 else SECOND), f"died at step {last}: {steps[last]}"
        generations.append(generation)
        build(changed, [changed.document("other", "other")])
        assert state(changed.path) == (new if generation == 3 else SECOND) | {"other": "other"}
    assert generations == sorted(generations)
    assert (generations[0], generations[-1]) == (2, 3)
