"""Recall estimates and the production monitor."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.index.vectors.recall import RecallMonitor, estimate, recall_of
from retrieval.types import Ranking


def ranking(*scores: float) -> Ranking:
    return Ranking(np.arange(len(scores)), np.array(scores, np.float32))


@given(st.lists(st.integers(0, 10).map(lambda hits: hits / 10), min_size=1, max_size=400))
def test_an_interval_holds_the_mean_and_is_never_empty(recalls: list[float]) -> None:
    found = estimate(recalls)
    assert 0 <= found.low <= found.recall <= found.high <= 1 or found.recall == pytest.approx(found.high)
    assert found.high - found.low > 0
    assert found.recall == pytest.approx(np.mean(recalls))


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    truth, inside = 0.95, 0
    for _ in range(500):
        found = estimate(rng.binomial(10, truth, size=200) / 10)
        inside += found.low <= truth <= found.high
    assert 0.92 <= inside / 500 <= 0.99


def test_a_thousand_perfect_answers_do_not_prove_perfection() -> None:
    assert 0.99 < estimate(np.ones(1000)).low < 1
    assert estimate(np.ones(10)).low < 0.8


def test_nothing_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="no query"):
        estimate([])


def test_recall_counts_rows_as_good_as_the_last() -> None:
    exact = ranking(0.9, 0.8, 0.7, 0.7)
    assert recall_of(ranking(0.9, 0.8, 0.7, 0.7), exact) == 1
    assert recall_of(ranking(0.9, 0.7, 0.7, 0.6), exact) == 0.75
    assert recall_of(ranking(), exact) == 0
    assert recall_of(ranking(), ranking()) == 1


def test_the_monitor_samples_its_share_and_forgets_old_queries() -> None:
    monitor = RecallMonitor(0.9, share=0.1, window=50, seed=3)
    assert 800 < sum(monitor.wants() for _ in range(10_000)) < 1200
    assert monitor.estimate() is None
    assert not monitor.below_target
    for _ in range(60):
        monitor.observe(ranking(0.1), ranking(0.9))
    assert monitor.below_target
    for _ in range(50):
        monitor.observe(ranking(0.9), ranking(0.9))
    assert monitor.repeated == 110
    now = monitor.estimate()
    assert now is not None
    assert (now.recall, now.queries) == (1.0, 50)
    assert not monitor.below_target


def test_a_single_bad_answer_is_no_alarm() -> None:
    monitor = RecallMonitor(0.98)
    monitor.observe(ranking(0.9, 0.8), ranking(0.95, 0.9))
    assert not monitor.below_target


def test_a_share_of_zero_repeats_nothing_and_others_are_refused() -> None:
    assert not any(RecallMonitor(0.9, share=0.0).wants() for _ in range(100))
    with pytest.raises(ValueError, match="between 0 and 1"):
        RecallMonitor(0.9, share=2)
