"""The order of a run is the same for every reader."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.errors import BadJudgments
from retrieval.metrics.runs import (
    decreases_strictly,
    make_ranking,
    make_run,
    ranking_by_score,
    strictly_decreasing,
    without_identical,
)

finite = st.floats(allow_nan=False, allow_infinity=False)


def test_ties_are_broken_as_trec_eval_breaks_them() -> None:
    assert ranking_by_score(["a", "c", "b"], [1.0, 1.0, 2.0]).ids == ("b", "c", "a")


def test_scores_equal_as_32_bit_floats_are_ties() -> None:
    assert ranking_by_score(["a", "z"], [1.0 + 1e-12, 1.0]).ids == ("z", "a")


@given(st.lists(finite, max_size=30))
def test_strictly_decreasing_scores_decrease_and_stay_close(values: list[float]) -> None:
    scores = np.array(sorted(values, reverse=True), dtype=np.float64)
    lowered = strictly_decreasing(scores)
    assert decreases_strictly(lowered)
    assert np.isfinite(lowered).all()
    if decreases_strictly(scores):
        assert lowered is scores


def test_equal_scores_become_neighbours() -> None:
    assert strictly_decreasing(np.array([0.5, 0.5, 0.5])).tolist() == pytest.approx([0.5, 0.5, 0.5], rel=1e-6)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_scores_must_be_finite(bad: float) -> None:
    with pytest.raises(BadJudgments, match=r"query 'q1': score of document 'b'"):
        make_run("r", {"q1": {"a": 1.0, "b": bad}})


def test_a_document_is_ranked_once() -> None:
    with pytest.raises(BadJudgments, match="document 'a' is ranked more than once"):
        make_ranking(["a", "b", "a"], [3.0, 2.0, 1.0])


def test_hits_named_like_their_query_can_be_left_out() -> None:
    run = make_run("r", {"1": {"1": 9.0, "2": 8.0}, "2": {"1": 9.0}})
    kept = without_identical(run)
    assert kept.rankings["1"].ids == ("2",)
    assert kept.rankings["2"].ids == ("1",)
