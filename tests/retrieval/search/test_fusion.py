"""Fusion on numbers that a reader can check by hand."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from retrieval.search.fusion import (
    ConvexFusion,
    ReciprocalRankFusion,
    SingleRanker,
    convex_sum,
    reciprocal_ranks,
    shares_of,
    union,
)
from retrieval.search.fusion_methods import DEFAULT_FUSION, FUSIONS, PARAMETERS
from retrieval.types import Bitmap, Ranking, Rows, Scores, SearchRequest


class ListedRetriever:
    """A retriever whose scores stand in a list."""

    matches_all: ClassVar[bool] = False
    min_candidates: ClassVar[int] = 1

    @property
    def score_range(self) -> tuple[float, float]:
        return 0.0, self.upper_bound(0)

    def __init__(self, name: str, *scores: float) -> None:
        self.name = name  # type: ignore[misc]  # a class variable of real retrievers
        self.scores = np.array(scores, np.float32)

    def rank(self, k: int, *, exact: bool = False) -> Ranking:  # noqa: ARG002
        rows = np.flatnonzero(self.matches())
        return Ranking.top(rows, self.scores[rows], k)

    def score(self, rows: Rows) -> Scores:
        return self.scores[rows]

    def matches(self) -> Bitmap:
        return np.asarray(self.scores > 0)

    def upper_bound(self, k: int) -> float:
        return float(np.sort(np.append(self.scores, 0.0))[::-1][max(0, k - 1)]) if k <= len(self.scores) else 0.0


EVERYTHING = np.ones(4, np.bool_)
DENSE = ListedRetriever("dense", 0.8, 0.4, 0.2, 0.0)
LEXICAL = ListedRetriever("lexical", 0.0, 10.0, 5.0, 0.0)
THIRD = ListedRetriever("third", 0.0, 0.0, 0.0, 4.0)


def test_convex_is_the_weighted_sum_of_scores_scaled_to_their_ranges() -> None:
    scores = [np.array([0.5, 0.2]), np.array([0.0, 10.0])]
    assert convex_sum(scores, [0.7, 0.3], [(0.0, 1.0), (0.0, 10.0)]) == pytest.approx([0.35, 0.44])
    assert convex_sum(scores, [0.6, 0.4], [(0.2, 0.8), (0.0, 10.0)]) == pytest.approx([0.3, 0.4])


def test_convex_without_any_match_of_a_retriever() -> None:
    assert convex_sum([np.array([0.5]), np.array([0.0])], [0.7, 0.3], [(0.0, 1.0), (0.0, 0.0)]) == pytest.approx([0.35])


def test_equal_scores_share_a_rank() -> None:
    shares = reciprocal_ranks(np.array([0.9, 0.5, 0.5, 0.1], dtype=np.float32), 60)
    assert shares == pytest.approx([1 / 61, 1 / 62, 1 / 62, 1 / 64])


def test_rows_of_all_lists_in_order() -> None:
    rows = union([np.array([3, 1]), np.array([2, 3]), np.array([7, 1])])
    assert rows.tolist() == [1, 2, 3, 7]


def test_retrievers_beside_dense_divide_the_rest() -> None:
    assert shares_of(0.7, [DENSE, LEXICAL]) == [0.7, pytest.approx(0.3)]
    assert shares_of(0.5, [DENSE, LEXICAL, THIRD]) == [0.5, 0.25, 0.25]


def test_one_retriever_ranks_as_it_does_alone() -> None:
    ranker = SingleRanker(LEXICAL, None)
    assert ranker.rank(3).rows.tolist() == [1, 2]
    scores = ranker.score(np.array([0, 1]))
    assert (scores.score.tolist(), scores.fused) == ([0.0, 10.0], None)
    assert scores.matching is not None
    assert scores.matching.tolist() == [False, True]


def test_convex_fusion_of_three() -> None:
    ranker = ConvexFusion([DENSE, LEXICAL, THIRD], [0.5, 0.25, 0.25], EVERYTHING)
    ranking = ranker.rank(4)  # 0.5 · 0.8/0.8; 0.5 · 0.4/0.8 + 0.25; 0.5 · 0.2/0.8 + 0.25 · 5/10; 0.25
    assert ranking.rows.tolist() == [0, 1, 2, 3]
    assert ranking.scores == pytest.approx([0.5, 0.5, 0.25, 0.25])
    assert ranker.score(ranking.rows).parts["third"].tolist() == [0, 0, 0, 4]


def test_a_share_of_nothing_does_not_match() -> None:
    ranker = ConvexFusion([DENSE, LEXICAL, THIRD], [0.0, 1.0, 0.0], EVERYTHING)
    assert ranker.rank(4).rows.tolist() == [1, 2]
    assert ranker.matches().tolist() == [False, True, True, False]
    assert ranker.score(np.array([0])).parts["dense"].tolist() == [pytest.approx(0.8)]


def test_reciprocal_rank_fusion_of_three() -> None:
    ranker = ReciprocalRankFusion([DENSE, LEXICAL, THIRD], [0.5, 0.25, 0.25], EVERYTHING, rrf_k=1)
    ranking = ranker.rank(4)  # of 3 retrievers: 1.5 / 2; 1.5 / 3 + .75 / 2; 1.5 / 4 + .75 / 3; .75 / 2
    assert ranking.rows.tolist() == [1, 0, 2, 3]
    assert ranking.scores == pytest.approx([0.875, 0.75, 0.625, 0.375])


def test_the_table_names_every_parameter_once() -> None:
    assert list(FUSIONS) == ["convex", "rrf"]
    assert SearchRequest("").fusion == DEFAULT_FUSION
    assert DEFAULT_FUSION in FUSIONS
    assert list(PARAMETERS) == ["weight", "feedback", "sparse_weight", "window_share", "rrf_k"]
    assert (FUSIONS["convex"].default("weight"), FUSIONS["rrf"].default("weight")) == (0.6, 0.5)
    assert all(each.contains(each.default) for fusion in FUSIONS.values() for each in fusion.parameters)
    assert not PARAMETERS["weight"].contains(float("nan"))
