"""Fusion on numbers that can be checked by eye."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.search.fusion import Convex, ReciprocalRank, first, union
from retrieval.types import Ranking


def ranking(rows: list[int], scores: list[float]) -> Ranking:
    return Ranking(np.array(rows, dtype=np.int64), np.array(scores, dtype=np.float32))


def test_convex_is_the_weighted_sum_of_cosine_and_normalised_bm25() -> None:
    fusion = Convex(0.7, best=10.0)
    assert fusion.score(np.array([0.5, 0.2]), np.array([0.0, 10.0])) == pytest.approx([0.35, 0.44])
    assert fusion.unseen(0.5, 5.0) == pytest.approx(0.5)


def test_convex_without_any_match_of_words() -> None:
    assert Convex(0.7, best=0.0).score(np.array([0.5]), np.array([0.0])) == pytest.approx([0.35])


def test_reciprocal_rank_counts_who_is_better() -> None:
    fusion = ReciprocalRank(0.5, 60, dense=np.array([0.1, 0.5, 0.5, 0.9]), lexical=np.array([0.0, 0.0, 3.0, 7.0]))
    scores = fusion.score(np.array([0.9, 0.5, 0.5, 0.1]), np.array([0.0, 7.0, 3.0, 0.0]))
    assert scores == pytest.approx([1 / 61, 1 / 62 + 1 / 61, 1 / 62 + 1 / 62, 1 / 64])


def test_rows_of_both_lists_in_order() -> None:
    rows = union(ranking([3, 1], [0.9, 0.1]), ranking([2, 3], [5.0, 4.0]))
    assert rows.tolist() == [1, 2, 3]
    best = first(rows, np.array([0.5, 0.7, 0.5]), 2)
    assert best.rows.tolist() == [2, 1]
