"""All shards get the vectors of another encoder in one commit."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from indexer.maintenance.sharded_changes import merge_all, roll_back_all
from indexer.maintenance.sharded_reembed import reembed_all
from indexer.maintenance.sharded_verify import verify_collection
from indexer.writing.garbage import Retention
from retrieval.errors import InputError
from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.collection.sharded_reader import open_reader
from retrieval.index.storage.sharded_manifest import read_sharded_manifest
from retrieval.util.files import Files
from tests.indexer.conftest import Bench, hand_made_settings
from tests.indexer.maintenance.test_reembed import Other
from tests.indexer.writing.test_sharded_writer import build, count_steps, die_at, documents, restore, state


def passages(path: Any) -> int:
    with open_reader(path) as reader:
        return reader.rows


def test_all_shards_are_switched_at_once(bench: Bench) -> None:
    build(bench, documents(bench))
    build(bench, [], deletes=("d3",))
    before, rows = state(bench.path), passages(bench.path)
    seen = []

    def reject(reader: IndexReader) -> bool:
        seen.append((reader.manifest.encoder.name, reader.manifest.documents, reader.rows))
        return False

    refused = reembed_all(bench.path, Other(), accept=reject)  # type: ignore[arg-type]
    assert (refused.switched, refused.generation, refused.encoded) == (False, 2, rows)
    assert seen == [("other", 13, rows)]
    assert read_sharded_manifest(bench.path).encoder == hand_made_settings().encoder
    report = reembed_all(bench.path, Other())  # type: ignore[arg-type]
    assert (report.switched, report.generation, report.encoded) == (True, 3, 0)
    manifest = read_sharded_manifest(bench.path)
    assert manifest.encoder == Other.fingerprint
    assert state(bench.path) == before
    assert verify_collection(bench.path).ok
    with pytest.raises(InputError, match="already has the vectors of this encoder"):
        reembed_all(bench.path, Other())  # type: ignore[arg-type]
    roll_back_all(bench.path)
    assert read_sharded_manifest(bench.path).encoder == hand_made_settings().encoder
    assert state(bench.path) == before


def test_documents_added_meanwhile_are_encoded_too(bench: Bench) -> None:
    build(bench, documents(bench))

    def accept(reader: IndexReader) -> bool:
        build(bench, [bench.document("late", "late")])
        return reader.manifest.documents == 14

    assert reembed_all(bench.path, Other(), accept=accept).generation == 3  # type: ignore[arg-type]
    assert (state(bench.path) or {})["late"] == "late"
    with open_reader(bench.path) as reader:
        assert reader.vectors.dimension == Other.dimension


def reembed(bench: Bench, files: Files) -> None:
    reembed_all(bench.path, Other(), files=files)  # type: ignore[arg-type]


def test_a_process_that_dies_leaves_one_encoder_in_all_shards(bench: Bench) -> None:
    build(bench, documents(bench))
    expected = state(bench.path)
    kept = bench.folder / "kept"
    shutil.copytree(bench.path, kept)
    steps: list[str] = []
    count_steps(bench, reembed, steps)
    commit = steps.index("rename manifest.json")  # of the collection; those of the shards follow
    generations = []
    for last in (0, commit // 2, commit, commit + 1, len(steps) - 1):
        restore(bench, kept)
        die_at(bench, reembed, last)
        assert state(bench.path) == expected, f"died at step {last}: {steps[last]}"
        manifest = read_sharded_manifest(bench.path)
        generations.append(manifest.generation)
        with open_reader(bench.path) as reader:
            assert reader.vectors.dimension == manifest.encoder.dimension
        if manifest.generation == 1:
            reembed(bench, Files())
        merge_all(bench.path, fully=True, retention=Retention(1))
        assert state(bench.path) == expected
        assert verify_collection(bench.path).orphans == ()
    assert generations == sorted(generations)
    assert (generations[0], generations[-1]) == (1, 2)
