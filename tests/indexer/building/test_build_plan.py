"""Estimates of a build: the number of documents, and the cost."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from indexer.building.build_plan import estimate_sources, plan_build
from indexer.building.pipeline import BuildSettings, build_collection
from indexer.readers.base.options import ReadOptions
from retrieval.errors import InputError
from retrieval.index.storage.settings import VectorSettings


def records(count: int, words: int = 12) -> str:
    return "".join(json.dumps({"id": str(i), "text": f"word{i} " * words}) + "\n" for i in range(count))


def test_small_files_are_counted_exactly(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(records(7))
    (tmp_path / "b.txt").write_text("one document")
    with gzip.open(tmp_path / "c.jsonl.gz", "wt") as file:
        file.write(records(5))
    size = estimate_sources([tmp_path], ReadOptions())
    assert size is not None
    assert size.documents == 13


@pytest.mark.parametrize("packed", [False, True])
def test_large_files_are_estimated_from_their_beginning(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / ("a.jsonl.gz" if packed else "a.jsonl")
    text = records(60_000).encode()
    path.write_bytes(gzip.compress(text) if packed else text)
    size = estimate_sources([path], ReadOptions())
    assert size is not None
    assert size.documents == pytest.approx(60_000, rel=0.1)


def test_damaged_files_are_left_to_the_reader(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(records(1_000).encode()))
    packed[40:60] = b"x" * 20
    (tmp_path / "a.jsonl.gz").write_bytes(packed)
    size = estimate_sources([tmp_path], ReadOptions())
    assert size is not None
    assert size.documents == 1


def test_nobody_knows_what_standard_input_holds() -> None:
    assert estimate_sources(["-"], ReadOptions()) is None


def test_a_plan_comes_true_and_leaves_nothing(tmp_path: Path) -> None:
    source = tmp_path / "a.jsonl"
    source.write_text(records(20, words=200))
    into = tmp_path / "c"
    plan = plan_build([source], into, BuildSettings())
    assert not into.exists()
    report = build_collection([source], into)
    assert plan.documents == report.documents == 20
    assert plan.passages == pytest.approx(report.passages, rel=0.1)
    used = sum(path.stat().st_size for path in into.rglob("*") if path.is_file())
    assert 0.5 < plan.disk_bytes / used < 2


def test_a_plan_counts_windows(tmp_path: Path) -> None:
    sentences = "".join(f"Bird number {number} sings in the morning. " for number in range(12))
    lines = [json.dumps({"id": str(number), "text": sentences}) for number in range(5)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    fine = BuildSettings(vectors=VectorSettings(window_sentences=3))
    plain, plan = (plan_build([tmp_path / "a.jsonl"], tmp_path / "c", each) for each in (BuildSettings(), fine))
    build_collection([tmp_path / "a.jsonl"], tmp_path / "c", fine)
    [vectors] = (tmp_path / "c").rglob("window_vectors.npy")
    assert (plain.windows, plan.windows) == (0, len(np.load(vectors)))
    assert plan.windows >= 5 * 4
    assert plan.disk_bytes - plain.disk_bytes == plan.windows * 384 * 2


def test_a_plan_of_nothing_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()
    with pytest.raises(InputError, match="no document"):
        plan_build([tmp_path / "a.jsonl"], tmp_path / "c", BuildSettings())
