"""Exact scores and searches: the same in blocks or parts as in one piece, in bounded memory."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest

from retrieval.index.vectors.exact import BLOCK_ROWS, MANY_QUERIES, FlatVectors, exact_search, joined_search
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


@pytest.mark.parametrize("queries", [1, MANY_QUERIES])
@pytest.mark.parametrize("filtered", [False, True])
@pytest.mark.parametrize("k", [1, 10, 700])
def test_parts_are_searched_as_one(k: int, filtered: bool, queries: int) -> None:
    rng = np.random.default_rng(k)
    vectors = rng.standard_normal((600, DIMENSION)).astype(np.float16)
    vectors[400:] = vectors[:200]  # ties across parts
    asked = rng.standard_normal((queries, DIMENSION)).astype(np.float32)
    allowed = rng.random(600) < 0.5 if filtered else None
    edges = [0, 1, 250, 250, 600]  # one part has a row, another has none
    pieces = [slice(*edge) for edge in pairwise(edges)]
    parts = [FlatVectors(vectors[piece]) for piece in pieces]
    found = joined_search(parts, asked, k, [None if allowed is None else allowed[piece] for piece in pieces])
    for ranking, whole in zip(found, exact_search(FlatVectors(vectors), asked, k, allowed), strict=True):
        assert np.array_equal(ranking.rows, whole.rows)
        assert np.array_equal(ranking.scores, whole.scores)
