"""Wilson's confidence interval of a proportion."""

from __future__ import annotations

Z_95 = 1.959963984540054  # the 0.975 quantile of the standard normal distribution


def wilson_interval(proportion: float, trials: float, *, z: float = Z_95) -> tuple[float, float]:
    """Return the ends of Wilson's interval.

    Unlike a bootstrap interval, it has a width at 0 and at 1.  `proportion` is the share of successes in `trials`
    yes-or-no trials; `trials` may be an effective sample size.
    """
    squared = z**2
    centre = (proportion + squared / (2 * trials)) / (1 + squared / trials)
    variance = squared * (proportion * (1 - proportion) / trials + squared / (4 * trials**2))
    half = variance**0.5 / (1 + squared / trials)
    return centre - half, centre + half
