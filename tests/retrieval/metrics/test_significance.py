"""Tests and intervals agree with scipy and keep their error rates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from retrieval.metrics.significance import (
    bootstrap_intervals,
    detectable_difference,
    effect_size,
    holm,
    randomization_p,
    t_test_p,
)

MONTE_CARLO = 0.015  # three standard errors of a p near 0.5 from 10,000 rounds


def column(values: object) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)[:, np.newaxis]


def scores(seed: int, queries: int, shift: float) -> np.ndarray:
    """Differences like those of nDCG: many zeros, a few large."""
    rng = np.random.default_rng(seed)
    values = rng.normal(shift, 0.2, queries).clip(-1, 1)
    values[rng.random(queries) < 0.4] = 0.0
    return values


@pytest.mark.parametrize("shift", [0.0, 0.02, 0.05, -0.05])
@pytest.mark.parametrize("queries", [12, 60, 300])
def test_randomization_is_scipys(queries: int, shift: float) -> None:
    differences = scores(queries, queries, shift)
    ours = randomization_p(column(differences))[0]
    theirs = stats.permutation_test(
        (differences, np.zeros(queries)), lambda a, b, axis: (a - b).mean(axis=axis), vectorized=True,
        permutation_type="samples", n_resamples=10_000, rng=np.random.default_rng(1),
    )  # fmt: skip
    assert ours == pytest.approx(theirs.pvalue, abs=MONTE_CARLO)


@pytest.mark.parametrize("queries", [20, 300])
def test_intervals_are_scipys(queries: int) -> None:
    differences = scores(3, queries, 0.03)
    low, high = bootstrap_intervals(column(differences))
    theirs = stats.bootstrap(
        (differences,), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    error = 0.06 * differences.std() / np.sqrt(queries)  # Monte-Carlo error of a 2.5 % quantile, with room
    assert low[0] == pytest.approx(theirs.low, abs=error)
    assert high[0] == pytest.approx(theirs.high, abs=error)


@settings(max_examples=50, deadline=None)
@given(arrays(np.float64, st.integers(2, 40), elements=st.floats(-1, 1).map(lambda x: round(x, 3))))
def test_t_is_scipys(differences: np.ndarray) -> None:
    if np.ptp(differences) == 0:
        assert t_test_p(column(differences))[0] == (1.0 if differences[0] == 0 else 0.0)
    else:
        theirs = stats.ttest_rel(differences, np.zeros_like(differences)).pvalue
        assert t_test_p(column(differences))[0] == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("rounds", [99, 10_000])
def test_p_is_never_zero_and_nothing_differs_is_one(rounds: int) -> None:
    assert randomization_p(column(np.ones(50)), rounds=rounds)[0] == pytest.approx(1 / (1 + rounds))
    assert randomization_p(column(np.zeros(50)), rounds=rounds)[0] == 1.0


def test_every_sign_pattern_of_few_queries_is_as_likely() -> None:
    assert randomization_p(column([0.1, 0.2, 0.3]))[0] == pytest.approx(2 / 8, abs=MONTE_CARLO)


def test_equal_systems_are_told_apart_in_one_case_of_twenty() -> None:
    rng = np.random.default_rng(7)
    pairs = rng.beta(0.5, 0.5, (80, 1000)) - rng.beta(0.5, 0.5, (80, 1000))  # 1,000 pairs of systems, 80 queries
    assert (randomization_p(pairs, rounds=2_000) < 0.05).mean() == pytest.approx(0.05, abs=0.015)
    assert (t_test_p(pairs) < 0.05).mean() == pytest.approx(0.05, abs=0.015)


def test_intervals_cover_the_truth_in_nineteen_cases_of_twenty() -> None:
    rng = np.random.default_rng(8)
    samples = rng.normal(0.1, 0.3, (100, 400))
    low, high = bootstrap_intervals(samples, rounds=1_000)
    assert ((low <= 0.1) & (high >= 0.1)).mean() == pytest.approx(0.95, abs=0.03)


def test_what_is_called_detectable_is_detected_four_times_of_five() -> None:
    rng = np.random.default_rng(9)
    least = detectable_difference(rng.normal(0, 0.3, (200, 1)))[0]
    assert least == pytest.approx(2.8 * 0.3 / np.sqrt(200), rel=0.15)
    shown = t_test_p(rng.normal(least, 0.3, (200, 2_000))) < 0.05
    assert shown.mean() == pytest.approx(0.8, abs=0.08)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]
    assert holm([0.02]).tolist() == [0.02]


def test_effect_by_hand_and_without_differences() -> None:
    assert effect_size(column([1.0, 2.0, 3.0]))[0] == pytest.approx(2.0)
    assert effect_size(column([0.0, 0.0]))[0] == 0.0


def test_the_seed_decides_and_blocks_do_not_matter() -> None:
    differences = np.stack([scores(1, 500, 0.01), scores(2, 500, 0.0)], axis=1)
    first, second = (randomization_p(differences, seed=5) for _ in range(2))
    assert (first == second).all()
    assert np.array_equal(bootstrap_intervals(differences, seed=5), bootstrap_intervals(differences, seed=5))


def test_one_query_shows_nothing() -> None:
    one = column([0.5])
    assert t_test_p(one)[0] == 1.0
    assert randomization_p(one)[0] == 1.0
    assert detectable_difference(one)[0] == np.inf
