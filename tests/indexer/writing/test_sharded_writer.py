"""A sharded collection commits all shards at once, whatever step its process dies at."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from indexer.writing.pending_generation import SegmentLimits
from indexer.writing.sharded_writer import ShardedWriter, open_writer
from retrieval.errors import CorruptCollection, InputError, NotACollection, SchemaError, ShardedCollection
from retrieval.index.collection.sharded_reader import open_reader
from retrieval.index.storage.manifest import MANIFEST, read_manifest
from retrieval.index.storage.sharded_manifest import (
    BUCKETS,
    SHARDS,
    equal_buckets,
    read_sharded_manifest,
    read_whole_manifest,
)
from retrieval.types import Document
from retrieval.util.files import Files
from tests.indexer.conftest import Bench
from tests.indexer.faults import Died, Faulty

NUM_SHARDS = 3


def writer(bench: Bench, files: Files | None = None) -> ShardedWriter:
    return ShardedWriter(
        bench.path, create=bench.settings, shards=NUM_SHARDS, limits=SegmentLimits(passages=3), files=files
    )


def put(bench: Bench, opened: ShardedWriter, documents: list[Document]) -> int:
    """Add the changed documents, as a build does; return how many were encoded."""
    known = opened.unchanged(documents)
    changed = [document for document, same in zip(documents, known, strict=True) if not same]
    opened.add(changed, [bench.cut(each) for each in changed], bench.vectors(changed))
    return len(changed)


def build(bench: Bench, documents: list[Document], files: Files | None = None, deletes: tuple[str, ...] = ()) -> int:
    """Commit documents and deletions in one generation; return how many documents were encoded."""
    with writer(bench, files) as opened:
        encoded = sum(put(bench, opened, documents[start : start + 4]) for start in range(0, len(documents), 4))
        opened.delete(deletes)
        opened.commit()
    return encoded


def state(path: Path) -> dict[str, str] | None:
    """Return the documents that a reader finds, checked; None without a collection."""
    try:
        reader = open_reader(path)
    except NotACollection:
        return None
    with reader:
        reader.check_all()
        rows = np.flatnonzero(reader.live_documents)
        documents = reader.documents(rows)
        assert [reader.find(each.id) for each in documents] == rows.tolist()
        assert len(documents) == reader.manifest.documents
        return {each.id: each.text for each in documents}


def documents(bench: Bench, count: int = 14, text: str = "") -> list[Document]:
    return [bench.document(f"d{n}", f"{text or 'text'} {n}", year=float(n)) for n in range(count)]


def test_documents_of_a_shard_have_its_buckets(bench: Bench) -> None:
    assert Counter(equal_buckets(4)) == dict.fromkeys(range(4), BUCKETS // 4)
    assert set(equal_buckets(7)) == set(range(7))
    build(bench, documents(bench))
    manifest = read_sharded_manifest(bench.path)
    assert [shard.name for shard in manifest.shards] == ["0000", "0001", "0002"]
    assert manifest.schema == {"year": "number"}
    assert state(bench.path) == {f"d{n}": f"text {n}" for n in range(14)}
    counts = [read_manifest(bench.path / SHARDS / shard.name).documents for shard in manifest.shards]
    assert sum(counts) == 14
    assert all(counts)


def test_shards_keep_the_generations_that_the_collection_names(bench: Bench) -> None:
    build(bench, documents(bench))
    for n in range(6):  # each changes one shard alone
        build(bench, [bench.document("d1", f"version {n}")])
    assert read_whole_manifest(bench.path).generation == 7
    for generation in (5, 6, 7):
        with open_reader(bench.path, generation) as reader:
            reader.check_all()
            row = reader.find("d1")
            assert row is not None
            assert reader.documents([row])[0].text == f"version {generation - 2}"
    with pytest.raises((NotACollection, CorruptCollection)):
        open_reader(bench.path, 1)


def test_a_reader_takes_over_the_segments_of_the_generation_before(bench: Bench) -> None:
    build(bench, documents(bench))
    with open_reader(bench.path) as before:
        build(bench, [bench.document("d1", "another text")])
        with open_reader(bench.path, previous=before) as after:
            assert after.manifest.generation == 2
            assert after.rows == before.rows + 1
        assert before.find("d1") is not None


def test_types_of_fields_are_those_of_all_documents(bench: Bench) -> None:
    build(bench, [bench.document(f"n{n}", f"text {n}", year=float(n)) for n in range(3)])
    with writer(bench) as opened, pytest.raises(SchemaError):
        opened.unchanged([bench.document(f"w{n}", f"text {n}", year="late") for n in range(9)])
    assert read_whole_manifest(bench.path).documents == 3


def test_other_operations_refuse_a_sharded_collection(bench: Bench) -> None:
    build(bench, documents(bench))
    with pytest.raises(ShardedCollection, match="is a sharded collection"):
        read_manifest(bench.path)
    with pytest.raises(InputError, match="has 3 shards, not 2"), open_writer(bench.path, shards=2):
        pass
    with pytest.raises(InputError, match="300 shards; choose 1 to 256"):
        ShardedWriter(bench.path, shards=300)


def test_a_damaged_manifest_is_named(bench: Bench) -> None:
    build(bench, documents(bench))
    path = bench.path / MANIFEST
    path.write_bytes(path.read_bytes().replace(b'"0001"', b'"0003"'))
    with pytest.raises(CorruptCollection, match="its checksum differs"):
        open_reader(bench.path)


def count_steps(bench: Bench, change: object, steps: list[str]) -> None:
    change(bench, Faulty(lambda step, path: steps.append(f"{step} {path.name}")))  # type: ignore[operator]


def first_build(bench: Bench, files: Files) -> None:
    build(bench, documents(bench), files)


def second_build(bench: Bench, files: Files) -> None:
    build(bench, documents(bench, 8, "new"), files, deletes=("d9", "d10", "d11", "d12"))


@pytest.mark.parametrize("change", [first_build, second_build])
def test_a_process_that_dies_leaves_the_old_generation_or_the_new_one(bench: Bench, change: object) -> None:
    """Let the process die at steps all through the change; then run it again."""
    old: dict[str, str] | None = None
    if change is second_build:
        build(bench, documents(bench))
        old = state(bench.path)
    kept = bench.folder / "kept"
    if bench.path.exists():
        shutil.copytree(bench.path, kept)
    steps: list[str] = []
    count_steps(bench, change, steps)
    new = state(bench.path)
    assert new is not None
    found = []
    commits = [number for number, step in enumerate(steps) if step in ("rename 000001.json", "rename 000002.json")]
    commits += [number for number, step in enumerate(steps) if step == "rename manifest.json"]
    for last in sorted({0, len(steps) // 4, *commits, *(number + 1 for number in commits), len(steps) - 1}):
        restore(bench, kept)
        die_at(bench, change, last)
        after = state(bench.path)
        assert after in (old, new), f"died at step {last}: {steps[last]}"
        found.append(after == new)
        with writer(bench) as opened:  # another change must not finish half of the interrupted one
            put(bench, opened, [bench.document("other", "other")])
            opened.commit()
        assert state(bench.path) == {**(after or {}), "other": "other"}
        if not found[-1]:
            change(bench, Files())  # type: ignore[operator]
            assert state(bench.path) == {**new, "other": "other"}
    assert found == sorted(found)
    assert not found[0]
    assert found[-1]


def restore(bench: Bench, kept: Path) -> None:
    shutil.rmtree(bench.path, ignore_errors=True)
    if kept.exists():
        shutil.copytree(kept, bench.path)


def die_at(bench: Bench, change: object, last: int) -> None:
    """Run a change whose steps from number `last` on never reach the disk."""
    done = 0

    def before(step: str, path: Path) -> None:
        nonlocal done
        del step, path
        done += 1
        if done > last:
            raise Died

    with pytest.raises(Died):
        change(bench, Faulty(before))  # type: ignore[operator]


def test_a_killed_build_encodes_finished_parts_once(bench: Bench) -> None:
    """Die when the first shard is prepared: the others have only their journals."""
    made = documents(bench, 40)

    def before(step: str, path: Path) -> None:
        if step == "rename" and path.parent.name == "generations":
            raise Died

    with pytest.raises(Died):
        build(bench, made, Faulty(before))
    assert state(bench.path) is None
    again = build(bench, made)
    assert again <= 3 * NUM_SHARDS  # documents of unfinished segments
    assert state(bench.path) == {each.id: each.text for each in made}
