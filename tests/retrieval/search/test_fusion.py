"""Fusion on numbers that can be checked by eye."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.search.fusion import Convex, reciprocal_ranks, union


def test_convex_is_the_weighted_sum_of_cosine_and_normalised_bm25() -> None:
    fusion = Convex(0.7, best=10.0)
    assert fusion.score(np.array([0.5, 0.2]), np.array([0.0, 10.0])) == pytest.approx([0.35, 0.44])
    assert fusion.unseen(0.5, 5.0) == pytest.approx(0.5)


def test_convex_without_any_match_of_words() -> None:
    assert Convex(0.7, best=0.0).score(np.array([0.5]), np.array([0.0])) == pytest.approx([0.35])


def test_equal_scores_share_a_rank() -> None:
    shares = reciprocal_ranks(np.array([0.9, 0.5, 0.5, 0.1], dtype=np.float32), 60)
    assert shares == pytest.approx([1 / 61, 1 / 62, 1 / 62, 1 / 64])


def test_rows_of_both_lists_in_order() -> None:
    rows = union(np.array([3, 1]), np.array([2, 3]))
    assert rows.tolist() == [1, 2, 3]
