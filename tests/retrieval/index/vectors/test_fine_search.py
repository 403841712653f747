"""Passages scored by their own vector and their best window."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.index.vectors.exact import FlatVectors
from retrieval.index.vectors.fine_search import FineVectors, WindowVectors
from retrieval.index.vectors.vector_search import CombinedVectors, SegmentVectors

DIMENSION = 4


def combined(vectors: np.ndarray, cut: int) -> CombinedVectors:
    """Return the vectors in two segments."""
    parts = (vectors[:cut], vectors[cut:])
    return CombinedVectors([SegmentVectors(FlatVectors(np.ascontiguousarray(part))) for part in parts], DIMENSION)


def unit(random: np.random.Generator, count: int) -> np.ndarray:
    vectors = random.standard_normal((count, DIMENSION)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_a_passage_counts_half_by_itself_and_half_by_its_best_window() -> None:
    axes = np.eye(DIMENSION, dtype=np.float32)
    fine = FineVectors(combined(axes[[0, 1]], 1), WindowVectors(combined(axes[[1, 2, 3]], 1), np.array([2, 1])), 0.5)
    # the query is the second axis: passage 0 has it as a window, passage 1 as its own vector
    assert fine.score(axes[1], np.array([0, 1])).tolist() == [0.5, 1.0]
    assert fine.search(axes[[1]], 2)[0].rows.tolist() == [1, 0]
    assert fine.search(axes[[2]], 2)[0].scores.tolist() == [0.5, 0.0]


@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.integers(1, 40), st.sampled_from([0.25, 0.5, 1.0]))
def test_search_is_that_of_brute_force(seed: int, passages: int, k: int, share: float) -> None:
    random = np.random.default_rng(seed)
    counts = random.integers(0, 5, passages)
    own, windows = unit(random, passages), unit(random, int(counts.sum()))
    own[random.random(passages) < 0.2] = own[0]  # ties
    query = unit(random, 1)
    allowed = random.random(passages) < 0.7
    fine = FineVectors(combined(own, passages // 2), WindowVectors(combined(windows, len(windows) // 3), counts), share)
    scores = fine.score(query[0], np.arange(passages))
    for row, (start, count) in enumerate(zip(np.cumsum(counts) - counts, counts, strict=True)):
        best = max([own[row] @ query[0], *(windows[start : start + count] @ query[0])])
        assert scores[row] == pytest.approx((1 - share) * (own[row] @ query[0]) + share * best, abs=1e-6)
    rows = np.flatnonzero(allowed)
    expected = rows[np.lexsort((rows, -scores[rows]))][:k]
    found = fine.search(query, k, allowed=allowed)[0]
    assert found.rows.tolist() == expected.tolist()
    assert found.scores.tolist() == scores[expected].tolist()
