"""Equal vectors stand in an ANN index once, and in every answer all of them, in row order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from retrieval.errors import CorruptCollection
from retrieval.index.vectors.build import build_faiss_index, open_faiss_index
from retrieval.index.vectors.equal_vectors import EqualVectors, find_equal_vectors
from retrieval.index.vectors.exact import FlatVectors, exact_search, rescored, threads_for
from retrieval.index.vectors.index_choice import AnnIndexPlan
from retrieval.index.vectors.recall import estimate, recall_of
from retrieval.index.vectors.vector_search import SegmentVectors, TunedIndex
from retrieval.types import Ranking

D = 16
groups = st.lists(st.integers(0, 6), min_size=1, max_size=60)


def unit(rows: int, seed: int) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).standard_normal((rows, D), dtype=np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


@given(group=groups, dtype=st.sampled_from(["float16", "float32"]))
@settings(max_examples=80, deadline=None)
def test_every_row_but_the_first_of_its_group_is_a_copy(group: list[int], dtype: str) -> None:
    vectors = unit(7, 0)[group].astype(dtype)
    equal = find_equal_vectors(vectors)
    first = {number: group.index(number) for number in group}
    expected = sorted((first[number], row) for row, number in enumerate(group) if row != first[number])
    assert equal.copies.tolist() == [list(pair) for pair in expected]
    assert equal.distinct == len(first)
    np.testing.assert_array_equal(equal.to_rows(np.arange(equal.distinct)), sorted(first.values()))


@given(group=groups, k=st.integers(1, 70), seed=st.integers(0, 9), share=st.sampled_from([1.0, 0.6, 0.1]))
@settings(max_examples=80, deadline=None)
def test_the_expanded_ranking_of_first_rows_is_the_exact_ranking(
    group: list[int], k: int, seed: int, share: float
) -> None:
    """Ties go to the earlier row, under filters too, even if the first row of a group is not allowed."""
    flat = FlatVectors(unit(7, 0)[group].astype(np.float16))
    equal = find_equal_vectors(flat.vectors)
    allowed = None if share == 1.0 else np.random.default_rng(seed).random(len(group)) < share
    numbers = np.arange(equal.distinct)
    if allowed is not None:
        numbers = numbers[equal.distinct_bitmap(allowed)]
    query = unit(1, seed + 1)
    found = equal.expand(rescored(flat.vectors, query[0], equal.to_rows(numbers), len(group)), k, allowed)
    (exact,) = exact_search(flat, query, k, allowed)
    np.testing.assert_array_equal(found.rows, exact.rows)
    np.testing.assert_array_equal(found.scores, exact.scores)


def test_without_copies_nothing_changes() -> None:
    equal = EqualVectors(5)
    allowed = np.array([True, False, True, True, False])
    assert equal.distinct_bitmap(allowed) is allowed
    assert equal.to_rows(np.array([3, -1])).tolist() == [3, -1]
    ranking = equal.expand(Ranking(np.array([2, 0, 3]), np.array([0.9, 0.8, 0.7], np.float32)), 2, None)
    assert ranking.rows.tolist() == [2, 0]


ROWS, GROUP = 4_000, 1_000


@pytest.fixture(scope="module")
def vectors() -> NDArray[np.float16]:
    """A quarter of the rows is one vector, another twentieth pairs."""
    made = unit(ROWS, 3)
    rows = np.random.default_rng(4).permutation(ROWS)
    made[rows[:GROUP]] = made[rows[0]]
    made[rows[GROUP : GROUP + 100]] = made[rows[GROUP + 100 : GROUP + 200]]
    return made.astype(np.float16)


@pytest.fixture(scope="module", params=["HNSW32,SQ8", "IVF64,PQ4x4fs"])
def segment(
    request: pytest.FixtureRequest, vectors: NDArray[np.float16], tmp_path_factory: pytest.TempPathFactory
) -> SegmentVectors:
    path = tmp_path_factory.mktemp("index") / "vectors.faiss"
    equal = find_equal_vectors(vectors)
    plan = AnnIndexPlan(request.param, equal.distinct, D, 2_000, "as set")
    with threads_for(1):
        facts = build_faiss_index(vectors, equal, plan, 0.95, path)
    assert (facts.rows, facts.copies, facts.reaches_target) == (equal.distinct, GROUP + 99, True)
    ann_index = open_faiss_index(path, facts, equal.copies)
    with pytest.raises(CorruptCollection, match="0 copies"):
        open_faiss_index(path, facts)
    return SegmentVectors(FlatVectors(vectors), TunedIndex(ann_index, facts.tuning))


@pytest.mark.parametrize("share", [1.0, 0.95, 0.5, 0.05])
def test_recall_holds_for_queries_in_and_outside_a_large_group(segment: SegmentVectors, share: float) -> None:
    allowed = None if share == 1.0 else np.random.default_rng(5).random(ROWS) < share
    rows = np.random.default_rng(6).integers(ROWS, size=80)
    queries = np.concatenate((unit(80, 7), segment.flat.vectors[rows].astype(np.float32)))
    found = segment.search(queries, 10, allowed=allowed)
    exact = segment.search(queries, 10, allowed=allowed, exact=True)
    recalls = [recall_of(one, other) for one, other in zip(found, exact, strict=True)]
    assert estimate(recalls[:80]).high >= 0.95
    assert estimate(recalls[80:]).high >= 0.95
    for one, other in zip(found, exact, strict=True):
        if one.rows[0] == other.rows[0] and len(set(other.scores.tolist())) == 1:  # ten of the large group
            np.testing.assert_array_equal(one.rows, other.rows)
