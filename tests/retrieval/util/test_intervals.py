"""Wilson's interval: by hand, and as scipy computes it."""

from __future__ import annotations

import pytest
from scipy import stats

from retrieval.util.intervals import wilson_interval


def test_by_hand() -> None:
    assert wilson_interval(0.5, 4, z=2.0) == pytest.approx((0.5 - 0.5 / 2**0.5, 0.5 + 0.5 / 2**0.5))
    assert wilson_interval(1.0, 4, z=2.0) == pytest.approx((0.5, 1.0))


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (3, 10), (10, 10), (49, 50)])
def test_as_scipy_computes_it(successes: int, trials: int) -> None:
    expected = stats.binomtest(successes, trials).proportion_ci(method="wilson")
    assert wilson_interval(successes / trials, trials) == pytest.approx((expected.low, expected.high), abs=1e-12)
