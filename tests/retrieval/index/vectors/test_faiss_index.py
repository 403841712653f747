"""FAISS indexes: row order, factory strings, files, building, tuning, search."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from retrieval.errors import CorruptCollection, InputError, StorageError
from retrieval.index.vectors import build as vector_build
from retrieval.index.vectors.build import AnnIndexFacts, build_faiss_index, open_faiss_index
from retrieval.index.vectors.equal_vectors import EqualVectors, find_equal_vectors
from retrieval.index.vectors.exact import FlatVectors, threads_for
from retrieval.index.vectors.faiss_index import Effort, FaissIndex, RowOrder, make_index
from retrieval.index.vectors.index_choice import AnnIndexPlan
from retrieval.index.vectors.recall import estimate, recall_of
from retrieval.index.vectors.recall_tuning import TunedEffort, Tuning
from retrieval.index.vectors.vector_search import CombinedVectors, SegmentVectors, TunedIndex
from retrieval.util.files import Files

ROWS, D = 4000, 32
ALL = EqualVectors(ROWS)
GRAPH, TURNED, LISTS, CODES = "HNSW32,SQ8", "PCA28,HNSW16,SQ8", "IVF64,PQ8x4fs", "SQ4"


def clustered(rng: np.random.Generator, rows: int) -> NDArray[np.float16]:
    """Make unit vectors around 60 fixed centres."""
    centres = np.random.default_rng(42).standard_normal((60, D))
    vectors = centres[rng.integers(60, size=rows)] + 0.7 * rng.standard_normal((rows, D))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


VECTORS = clustered(np.random.default_rng(0), ROWS)
QUERIES = clustered(np.random.default_rng(1), 100).astype(np.float32)


def build(path: Path, factory: str, target: float = 0.95) -> AnnIndexFacts:
    plan = AnnIndexPlan(factory, ROWS, D, 2000, "as set")
    facts = build_faiss_index(VECTORS, ALL, plan, target, path)
    return AnnIndexFacts.from_json(json.loads(json.dumps(facts.to_json())))


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Use one thread: teams of threads wait for each other beside other tests."""
    with threads_for(1):
        yield


@pytest.fixture(scope="module", params=[GRAPH, TURNED, LISTS, CODES])
def segment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SegmentVectors:
    path = tmp_path_factory.mktemp("index") / "vectors.faiss"
    facts = build(path, request.param)
    return SegmentVectors(FlatVectors(VECTORS), TunedIndex(open_faiss_index(path, facts), facts.tuning))


@given(rows=st.integers(1, 200), held=st.integers(0, 200), seed=st.integers(0, 99))
@settings(max_examples=80, deadline=None)
def test_positions_are_a_reordering_of_the_rows_with_those_held_out_last(rows: int, held: int, seed: int) -> None:
    group = np.random.default_rng(seed).integers(1 + rows * 3 // 2, size=rows)  # of equal vectors
    equal = find_equal_vectors(group[:, np.newaxis].astype(np.float32))
    order = RowOrder(equal, min(held, equal.distinct))
    by_position = order.to_rows(np.arange(len(order)))
    np.testing.assert_array_equal(np.sort(by_position), np.sort(np.unique(group, return_index=True)[1]))
    np.testing.assert_array_equal(by_position[order.base :], order.held)
    assert order.to_rows(np.array([-1]))[0] == -1
    allowed = np.random.default_rng(seed + 1).random(rows) < 0.5
    np.testing.assert_array_equal(order.by_position(allowed), np.isin(group[by_position], group[allowed]))


@pytest.mark.parametrize("factory", ["nonsense", "IVF", "PQ7", "IDMap,Flat", "HNSW32,SQ8,RFlat", "PQ8x4fs"])
def test_factory_strings_that_cannot_work_are_refused(factory: str) -> None:
    with pytest.raises(InputError, match=factory):
        make_index(factory, D)


def test_what_was_measured_reaches_the_target_and_is_recorded(segment: SegmentVectors) -> None:
    assert segment.ann_index is not None
    tuning = segment.ann_index.tuning
    assert tuning.target == 0.95
    assert min(tuning.passages.recall, tuning.queries.recall) >= 0.95
    assert tuning.made_by == "vectors"
    assert tuning.milliseconds > 0


@pytest.mark.parametrize("k", [1, 10, 60])
@pytest.mark.parametrize("share", [1.0, 0.97, 0.5, 0.1, 0.01, 0.001])
def test_recall_holds_on_other_queries_for_any_filter(segment: SegmentVectors, k: int, share: float) -> None:
    allowed = None if share == 1 else np.random.default_rng(5).random(ROWS) < share
    found = segment.search(QUERIES, k, allowed=allowed)
    exact = segment.search(QUERIES, k, allowed=allowed, exact=True)
    assert estimate([recall_of(one, other) for one, other in zip(found, exact, strict=True)]).high >= 0.95
    for one, other, query in zip(found, exact, QUERIES, strict=True):
        assert len(one.rows) == len(other.rows)
        assert len(set(one.rows.tolist())) == len(one.rows)
        assert allowed is None or allowed[one.rows].all()
        np.testing.assert_array_equal(one.scores, segment.flat.score(query, one.rows))
        np.testing.assert_array_equal(np.lexsort((one.rows, -one.scores)), np.arange(len(one.rows)))


def test_a_filter_that_avoids_what_the_query_asks_for_costs_no_recall(segment: SegmentVectors) -> None:
    query = QUERIES[:1]
    nearest = segment.search(query, ROWS // 2, exact=True)[0].rows
    allowed = np.ones(ROWS, np.bool_)
    allowed[nearest] = False
    found, exact = (segment.search(query, 10, allowed=allowed, exact=exact)[0] for exact in (False, True))
    assert recall_of(found, exact) == 1.0


def test_one_query_is_answered_as_among_many(segment: SegmentVectors) -> None:
    allowed = np.random.default_rng(6).random(ROWS) < 0.6
    together = segment.search(QUERIES[:20], 10, allowed=allowed)
    for number, ranking in enumerate(together):
        alone = segment.search(QUERIES[number : number + 1], 10, allowed=allowed)[0]
        np.testing.assert_array_equal(alone.rows, ranking.rows)


def test_segments_with_and_without_an_ann_index_are_merged_by_score(segment: SegmentVectors) -> None:
    small = clustered(np.random.default_rng(9), 300)
    combined = CombinedVectors([SegmentVectors(FlatVectors(small)), segment], D)
    whole = CombinedVectors([SegmentVectors(FlatVectors(np.concatenate((small, VECTORS))))], D)
    assert not combined.is_exact
    recalls = []
    for one, other in zip(combined.search(QUERIES, 10), whole.search(QUERIES, 10), strict=True):
        recalls.append(recall_of(one, other))
        np.testing.assert_array_equal(np.sort(one.scores)[::-1], one.scores)
    assert estimate(recalls).high >= 0.95
    for one, other in zip(combined.search(QUERIES, 10, exact=True), whole.search(QUERIES, 10), strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)


def test_damaged_or_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "index"
    facts = build(path, GRAPH, 0.8)
    with pytest.raises(CorruptCollection, match="not 5000 of 32"):
        open_faiss_index(path, replace(facts, rows=5000, held_out=0))
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"IxFI" + b"\xff" * 200, whole[:100]):
        path.write_bytes(damaged)
        with pytest.raises(CorruptCollection):
            open_faiss_index(path, facts)


@pytest.mark.parametrize("factory", [GRAPH, TURNED])
def test_rearranging_gives_what_faiss_gives_by_copying(factory: str) -> None:
    order = RowOrder(ALL, 200)
    positions = np.random.default_rng(3).permutation(order.base)
    indexes = []
    for _ in range(2):
        index = make_index(factory, D)
        index.train(VECTORS[:2000].astype(np.float32))
        indexes.append(FaissIndex(index, order))
        indexes[-1].add(VECTORS, positions)
    indexes[0].rearrange(VECTORS, positions)
    graph = indexes[1].index
    graph = faiss.downcast_index(graph.index) if factory == TURNED else graph
    graph.permute_entries(np.argsort(positions))
    one, other = (faiss.serialize_index(each.index) for each in indexes)
    np.testing.assert_array_equal(one, other)


class Interrupted(Exception):
    pass


def test_an_interrupted_build_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_build, "CHECKPOINT_S", 0.0)
    monkeypatch.setattr(vector_build, "BLOCK_ROWS", 1000)
    plan = AnnIndexPlan(LISTS, ROWS, D, 2000, "as set")
    path, seen = tmp_path / "index", []

    def interrupt(stage: str, done: int, total: int) -> None:
        assert total == ROWS
        seen.append((stage, done))
        if len(seen) == 4:
            raise Interrupted

    with pytest.raises(Interrupted):
        build_faiss_index(VECTORS, ALL, plan, 0.9, path, progress=interrupt)
    assert seen == [("training", 0), ("adding", 1000), ("adding", 2000), ("adding", 3000)]
    assert not path.exists()
    again: list[tuple[str, int, int]] = []
    facts = build_faiss_index(VECTORS, ALL, plan, 0.9, path, progress=lambda *step: again.append(step))
    assert again[0] == ("adding", 3000, ROWS)  # the checkpoint after 2000 rows
    assert [each.name for each in tmp_path.iterdir()] == ["index"]
    ann_index = open_faiss_index(path, facts)
    found = ann_index.candidates(VECTORS[:100].astype(np.float32), Effort(64, 20))
    assert np.mean([row in near for row, near in enumerate(found)]) > 0.95


def test_a_graph_goes_on_in_the_order_that_it_was_begun_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_build, "CHECKPOINT_S", 0.0)
    monkeypatch.setattr(vector_build, "BLOCK_ROWS", 1000)
    plan, path = AnnIndexPlan(GRAPH, ROWS, D, 2000, "as set"), tmp_path / "index"

    def interrupt(*step: object) -> None:
        if step[1] == 2000:
            raise Interrupted

    with pytest.raises(Interrupted):
        build_faiss_index(VECTORS, ALL, plan, 0.9, path, progress=interrupt)
    seen: list[object] = []
    facts = build_faiss_index(VECTORS, ALL, plan, 0.9, path, progress=lambda *step: seen.append(step[1]))
    assert seen[0] == 2000  # the checkpoint after 1000 rows
    found = open_faiss_index(path, facts).candidates(VECTORS.astype(np.float32), Effort(64, 20))
    assert np.mean([row in near for row, near in enumerate(found)]) > 0.95


@pytest.mark.parametrize("change", ["plan", "bytes", "record"])
def test_a_checkpoint_of_something_else_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setattr(vector_build, "CHECKPOINT_S", 0.0)
    plan, path = AnnIndexPlan(CODES, ROWS, D, 2000, "as set"), tmp_path / "index"
    partial, record = tmp_path / "index.partial", tmp_path / "index.partial.json"
    other = replace(plan, reason="another") if change == "plan" else plan
    made = make_index(CODES, D)
    made.train(VECTORS.astype(np.float32))
    vector_build._Checkpoints(path, other, np.arange(ROWS - 200)).write(made, Files())
    if change == "bytes":
        partial.write_bytes(partial.read_bytes()[:-1] + b"?")
    if change == "record":
        record.write_text("{}")
    seen: list[tuple[str, int, int]] = []
    build_faiss_index(VECTORS, ALL, plan, 0.8, path, progress=lambda *step: seen.append(step))
    assert seen[0] == ("training", 0, ROWS)
    assert [each.name for each in tmp_path.iterdir()] == ["index"]


class FullDisk(Files):
    """A disk that is full after the first megabyte."""

    def __init__(self) -> None:
        self.written = 0

    def write(self, descriptor: int, path: Path, data: bytes | memoryview) -> int:
        self.written += len(data)
        if self.written > 1 << 20:
            raise StorageError("No space left on device", path=path)
        return super().write(descriptor, path, data)


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    plan = AnnIndexPlan(GRAPH, ROWS, D, 2000, "as set")
    with pytest.raises(StorageError, match="index: No space left"):
        build_faiss_index(VECTORS, ALL, plan, 0.5, tmp_path / "index", files=FullDisk())


def test_effort_grows_with_depth_and_with_the_strictness_of_a_filter() -> None:
    measured = [(10, 1.0, 100, 30), (100, 1.0, 250, 200), (10, 0.5, 90, 30), (10, 0.1, 300, 30)]
    settings = tuple(TunedEffort(k, share, explored, rescored, 1.0, 0.98) for k, share, explored, rescored in measured)
    nothing = estimate([1.0])
    tuning = Tuning(0.98, settings, 0.05, nothing, nothing, "vectors")
    assert tuning.effort(10) == tuning.effort(1) == Effort(100, 30)
    assert tuning.effort(10, 0.5).explored == 100  # never less than without a filter
    assert tuning.effort(100) == Effort(300, 200)  # as deep as ten under a filter of a tenth
    assert tuning.effort(100, 0.1).explored > tuning.effort(100, 0.5).explored > 300
    assert 100 < tuning.effort(50).rescored < 150
    deep = [tuning.effort(k) for k in (10, 20, 50, 100, 500, 1000)]
    assert deep == sorted(deep, key=lambda effort: (effort.explored, effort.rescored))
