"""Exact scores: the same in blocks as one by one, in bounded memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from retrieval.index.vectors.exact import BLOCK_ROWS, FlatVectors
from retrieval.index.vectors.store import row_scores

DIMENSION = 32


@pytest.mark.parametrize("count", [0, 1, BLOCK_ROWS, BLOCK_ROWS + 1, 3 * BLOCK_ROWS + 7])
def test_scores_in_blocks_are_those_of_single_rows(count: int) -> None:
    rng = np.random.default_rng(count)
    vectors = rng.standard_normal((4 * BLOCK_ROWS, DIMENSION), dtype=np.float32).astype(np.float16)
    query = rng.standard_normal(DIMENSION, dtype=np.float32)
    rows = rng.permutation(len(vectors))[:count]
    scores = FlatVectors(vectors).score(query, rows)
    assert scores.dtype == np.float32
    assert np.array_equal(scores, row_scores(query, vectors[rows]))


def test_scoring_all_rows_copies_one_block() -> None:
    vectors = np.ones((20 * BLOCK_ROWS, DIMENSION), np.float32)
    query, rows = np.ones(DIMENSION, np.float32), np.arange(len(vectors))
    tracemalloc.start()
    FlatVectors(vectors).score(query, rows)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < vectors.nbytes / 4
