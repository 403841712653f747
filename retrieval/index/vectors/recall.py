"""How much of the exact answer an approximate search finds, with its uncertainty.

Recall@k of one query is the share of its k exact neighbours that were found; rows that score the same as the k-th
exact neighbour count as well as that one does.
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
LEAST_REPEATED = 30  # queries before an alarm


@dataclass(frozen=True, slots=True)
class RecallEstimate:
    """Mean recall over `queries` queries and its 95 % interval."""

    recall: float
    low: float
    high: float
    queries: int

    def __str__(self) -> str:
        return f"{self.recall:.3f} ({self.low:.3f} to {self.high:.3f}, {self.queries} queries)"


def estimate(recalls: Sequence[float] | NDArray[np.float64]) -> RecallEstimate:
    """Mean of per-query recalls with Wilson's interval at the effective sample size.

    The effective size is the number of yes-or-no trials whose mean would spread as these recalls do: it uses their
    real variance and still never claims certainty when all of them are 1.
    """
    values = np.asarray(recalls, dtype=np.float64)
    if len(values) == 0:
        raise ValueError("no query to estimate recall from")
    mean, count = float(values.mean()), float(len(values))
    variance = float(values.var(ddof=1)) if len(values) > 1 else 0.0
    trials = mean * (1 - mean) / variance * count if variance > 0 else count
    low, high = wilson_interval(mean, trials, z=Z)
    return RecallEstimate(mean, max(0.0, low), min(1.0, high), len(values))


def recall_of(found: Ranking, exact: Ranking) -> float:
    """Recall of one answer; 1.0 where there was nothing to find.  Scores of both must be exact."""
    if len(exact.rows) == 0:
        return 1.0
    hits = int(np.count_nonzero(found.scores >= exact.scores[-1]))
    return min(hits, len(exact.rows)) / len(exact.rows)


class RecallMonitor:
    """Watches recall in production: which queries to repeat exactly, and what the repetitions showed.

    Keeps the last `window` repeated queries.  Safe to use from several threads.
    """

    def __init__(self, target: float, share: float = 0.01, *, window: int = 2000, seed: int = 0) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"share of queries to repeat must be between 0 and 1, not {share}")
        self.target = target
        self.share = share
        self.repeated = 0  # since the start
        self._recalls: deque[float] = deque(maxlen=window)
        self._random = np.random.default_rng(seed)
        self._lock = Lock()

    def wants(self) -> bool:
        """Whether this query should be repeated exactly."""
        with self._lock:
            return self.share > 0 and float(self._random.random()) < self.share

    def observe(self, found: Ranking, exact: Ranking) -> None:
        """Count one repetition: the answer given and the exact one, for the same k and the same filter."""
        with self._lock:
            self._recalls.append(recall_of(found, exact))
            self.repeated += 1

    def estimate(self) -> RecallEstimate | None:
        """Recall over the window; None before the first repetition."""
        with self._lock:
            recalls = list(self._recalls)
        return estimate(recalls) if recalls else None

    @property
    def below_target(self) -> bool:
        """Whether recall is below the target beyond doubt: the whole interval is, after enough queries."""
        now = self.estimate()
        return now is not None and now.queries >= LEAST_REPEATED and now.high < self.target
