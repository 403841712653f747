"""Significance tests and confidence intervals for paired values of two systems.

Each function takes differences, (queries, measures) float64, and returns one value per measure.  All measures share the
same resamples.  The seed is an argument, so that a result can be reproduced.  Sources: Smucker, Allan and Carterette,
"A comparison of statistical significance tests for information retrieval evaluation" (2007); Holm, "A simple
sequentially rejective multiple test procedure" (1979); Cohen, "Statistical power analysis" (1988).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

ROUNDS = 10_000
LEVEL = 0.95
ALPHA = 1 - LEVEL
POWER = 0.8
_MAX_CELLS = 2_000_000  # of one block of resamples; bounds the memory

Matrix: TypeAlias = NDArray[np.float64]  # (queries, measures)
Column: TypeAlias = NDArray[np.float64]  # (measures,)


def bootstrap_intervals(values: Matrix, *, rounds: int = ROUNDS, seed: int = 0) -> tuple[Column, Column]:
    """Return the ends of 95 % bootstrap intervals of the mean over resampled queries."""
    queries, measures = values.shape
    means = np.empty((rounds, measures))
    rng = np.random.default_rng(seed)
    for block in _blocks(rounds, queries * max(measures, 1)):
        drawn = rng.integers(0, queries, size=(block.stop - block.start, queries))
        means[block] = values[drawn].mean(axis=1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return low, high


def randomization_p(differences: Matrix, *, rounds: int = ROUNDS, seed: int = 0) -> Column:
    """Return the two-sided p value of the randomisation test for equal means.

    Each round flips the sign of each query's difference at random.  p = (1 + rounds that are as extreme) /
    (1 + rounds), so p is never 0 and never too small for the number of rounds.
    """
    observed = np.abs(differences.sum(axis=0))
    # The tolerance makes equal sums equal in any order of addition.
    threshold = observed - 1e-12 * np.maximum(np.abs(differences).sum(axis=0), 1e-300)
    extreme = np.zeros(differences.shape[1], dtype=np.int64)
    rng = np.random.default_rng(seed)
    for block in _blocks(rounds, len(differences)):
        signs = rng.integers(0, 2, size=(block.stop - block.start, len(differences)), dtype=np.int8)
        extreme += (np.abs((signs * 2.0 - 1.0) @ differences) >= threshold).sum(axis=0)
    return np.asarray((1.0 + extreme) / (1.0 + rounds), dtype=np.float64)


def t_test_p(differences: Matrix) -> Column:
    """Return two-sided p of Student's paired t test; 1.0 if all values are 0."""
    from scipy.special import stdtr

    queries = len(differences)
    mean = differences.mean(axis=0)
    if queries < 2:
        return np.ones_like(mean)
    error = _deviation(differences) / np.sqrt(queries)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(mean == 0, 0.0, np.abs(mean) / error)
    return np.asarray(2 * stdtr(queries - 1, -t), dtype=np.float64)


def effect_size(differences: Matrix) -> Column:
    """Return Cohen's d: mean difference / standard deviation; 0.0 without differences."""
    mean: Column = differences.mean(axis=0)
    deviation = _deviation(differences)
    effect: Column = np.divide(mean, deviation, out=np.zeros_like(mean), where=deviation > 0)
    return effect


def detectable_difference(differences: Matrix, *, power: float = POWER, alpha: float = ALPHA) -> Column:
    """Return the smallest true difference that so many queries detect with `power`."""
    from scipy.special import stdtrit

    queries = len(differences)
    if queries < 2:
        return np.full(differences.shape[1], np.inf)
    steps = stdtrit(queries - 1, 1 - alpha / 2) + stdtrit(queries - 1, power)
    return np.asarray(steps * _deviation(differences) / np.sqrt(queries), dtype=np.float64)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return p values with Holm's correction for multiple comparisons, in input order."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    factors = len(p) - np.arange(len(p))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return adjusted


def _deviation(values: Matrix) -> Column:
    """Return sample standard deviations; exactly 0 if all values are equal."""
    deviation = values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros(values.shape[1])
    return np.asarray(np.where(np.ptp(values, axis=0) == 0, 0.0, deviation), dtype=np.float64)


def _blocks(rounds: int, width: int) -> Iterator[slice]:
    size = max(1, _MAX_CELLS // max(width, 1))
    for start in range(0, rounds, size):
        yield slice(start, min(start + size, rounds))
