"""Recall of approximate search: estimate, confidence interval and monitor.

Recall@k of one query is the share of its k exact neighbours that the search found.  Rows with the score of the k-th
exact neighbour count like that neighbour.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from retrieval.types import Ranking
from retrieval.util.intervals import wilson_interval

Z = 1.96  # standard errors of a 95 % interval
MIN_REPEATED = 30  # queries before an alarm


@dataclass(frozen=True, slots=True)
class RecallEstimate:
    """The mean recall of `queries` queries, with its 95 % interval."""

    recall: float
    low: float
    high: float
    queries: int

    def __str__(self) -> str:
        return f"{self.recall:.3f} ({self.low:.3f} to {self.high:.3f}, {self.queries} queries)"


def estimate(recalls: Sequence[float] | NDArray[np.float64]) -> RecallEstimate:
    """Return the mean of per-query recalls, with Wilson's 95 % interval.

    The interval's sample size is the number of binary trials whose mean has the variance of these recalls.  So the
    interval follows the real variance, but is never empty, even if all recalls are 1.
    """
    values = np.asarray(recalls, dtype=np.float64)
    if len(values) == 0:
        raise ValueError("no query to estimate recall from; give at least one recall")
    mean, count = float(values.mean()), float(len(values))
    variance = float(values.var(ddof=1)) if len(values) > 1 else 0.0
    trials = mean * (1 - mean) / variance * count if variance > 0 else count
    low, high = wilson_interval(mean, trials, z=Z)
    return RecallEstimate(mean, max(0.0, low), min(1.0, high), len(values))


def recall_of(found: Ranking, exact: Ranking) -> float:
    """Return the recall of one ranking, by exact scores; 1.0 without exact results."""
    if len(exact.rows) == 0:
        return 1.0
    hits = int(np.count_nonzero(found.scores >= exact.scores[-1]))
    return min(hits, len(exact.rows)) / len(exact.rows)


class RecallMonitor:
    """Estimates the recall of the last `window` repeated queries.  Thread-safe."""

    def __init__(self, target: float, share: float = 0.01, *, window: int = 2000, seed: int = 0) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"the share of queries to repeat is {share}; it must be between 0 and 1")
        self.target = target
        self.share = share
        self.repeated = 0  # since the start
        self._recalls: deque[float] = deque(maxlen=window)
        self._random = np.random.default_rng(seed)
        self._lock = Lock()

    def wants(self) -> bool:
        """Decide at random whether to repeat this query exactly."""
        with self._lock:
            return self.share > 0 and float(self._random.random()) < self.share

    def observe(self, found: Ranking, exact: Ranking) -> None:
        """Record one repetition: both rankings for the same k and the same filter."""
        with self._lock:
            self._recalls.append(recall_of(found, exact))
            self.repeated += 1

    @property
    def recalls(self) -> list[float]:
        """The recalls of the window, the oldest first."""
        with self._lock:
            return list(self._recalls)

    def estimate(self) -> RecallEstimate | None:
        """Estimate the recall over the window; None before the first repetition."""
        recalls = self.recalls
        return estimate(recalls) if recalls else None

    @property
    def below_target(self) -> bool:
        """Whether the whole interval is below the target, after enough queries."""
        now = self.estimate()
        return now is not None and now.queries >= MIN_REPEATED and now.high < self.target
