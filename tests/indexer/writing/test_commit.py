"""The one commit path: lock, read, change, publish, collect."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from indexer.writing.commit import CommitOptions, commit_change
from indexer.writing.garbage import Retention
from retrieval.errors import CollectionLocked
from retrieval.index.storage.manifest import Manifest, encode_manifest, kept_generations
from retrieval.util.files import lock_is_held, take_lock
from tests.indexer.faults import Faulty


@pytest.fixture
def collection(bench: Any) -> Path:
    """Make a collection of one generation."""
    bench.add(bench.document("a"))
    path: Path = bench.path
    return path


def test_a_change_becomes_the_next_generation(collection: Path) -> None:
    held: list[bool] = []

    def change(current: Manifest) -> Manifest:
        held.append(lock_is_held(collection / "lock"))
        return replace(current, unreadable_share=0.5)

    outcome = commit_change(collection, "test", change, CommitOptions())
    assert held == [True]
    assert outcome.committed
    assert encode_manifest(outcome.manifest) == (collection / "manifest.json").read_bytes()
    assert (outcome.manifest.generation, outcome.manifest.cause) == (2, "test")
    assert outcome.manifest.unreadable_share == 0.5
    assert not lock_is_held(collection / "lock")


def test_no_change_writes_nothing(collection: Path) -> None:
    steps: list[str] = []
    options = CommitOptions(files=Faulty(lambda step, _: steps.append(step)))
    outcome = commit_change(collection, "test", lambda _: None, options)
    assert (outcome.committed, outcome.manifest.generation, steps) == (False, 1, [])


def test_old_generations_are_collected_unless_the_caller_does_it(collection: Path) -> None:
    commit_change(collection, "test", lambda current: current, CommitOptions(retention=None))
    commit_change(collection, "test", lambda current: current, CommitOptions(retention=None))
    assert kept_generations(collection) == [1, 2, 3]
    commit_change(collection, "test", lambda current: current, CommitOptions(retention=Retention(2)))
    assert kept_generations(collection) == [3, 4]


def test_obsolete_files_are_removed_after_the_manifest_is_replaced(collection: Path) -> None:
    marker = collection / "reembed-0123456789ab"
    marker.touch()
    steps: list[tuple[str, str]] = []
    files = Faulty(lambda step, path: steps.append((step, path.name)))
    commit_change(collection, "test", lambda current: current, CommitOptions(files=files), obsolete=[marker])
    assert not marker.exists()
    assert steps.index(("rename", "manifest.json")) < steps.index(("unlink", marker.name))


def test_a_held_lock_is_named(collection: Path) -> None:
    lock = take_lock(collection / "lock")
    with pytest.raises(CollectionLocked, match="held by process"):
        commit_change(collection, "test", lambda current: current, CommitOptions(wait_s=0.0))
    lock.release()
