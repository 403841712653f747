"""Tune settings by judged queries, with cross-validation.

The search is coordinate ascent: it changes one setting at a time, in at most two passes.  Cross-validation repeats the
whole search for each fold without the queries of the fold, and measures the fold with the settings that it chose.  So
the reported gain comes from queries that did not choose the settings.  The final settings come from a search over all
queries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import InputError
from retrieval.metrics.significance import ALPHA, bootstrap_intervals, detectable_difference, randomization_p

FOLDS = 5
MIN_QUERIES = 10  # fewer queries cannot show a difference
MAX_PASSES = 2
_MIN_GAIN = 1e-9  # of the mean; of equal settings the first is kept, which is the default

Settings: TypeAlias = Mapping[str, Any]  # setting → a number, a name or words
SearchSpace: TypeAlias = Mapping[str, Sequence[Any]]  # setting → values to try
QueryValues: TypeAlias = NDArray[np.float64]  # (queries,)
Objective: TypeAlias = Callable[[Settings], QueryValues]


@dataclass(frozen=True, slots=True)
class TuningResult:
    """The tuned settings and their held-out gain."""

    defaults: Settings
    chosen: Settings
    queries: int
    default_mean: float
    held_out_mean: float  # over all queries, each measured with settings that the other folds chose
    low: float  # ends of the 95 % interval of the held-out gain
    high: float
    p: float
    detectable: float
    fold_choices: tuple[Settings, ...]
    tried: int  # number of settings measured

    @property
    def gain(self) -> float:
        return self.held_out_mean - self.default_mean

    @property
    def accepted(self) -> bool:
        """Whether the held-out gain is significant; otherwise keep the defaults."""
        return self.p < ALPHA and self.gain > 0 and dict(self.chosen) != dict(self.defaults)


def tune(
    objective: Objective, space: SearchSpace, defaults: Settings, queries: int, *, folds: int = FOLDS, seed: int = 0
) -> TuningResult:
    """Search `space` from `defaults` and cross-validate the gain.

    `objective` returns the value of each query under the given settings.  Raises InputError for too few queries.
    """
    if queries < MIN_QUERIES:
        raise InputError(f"{queries} judged queries are too few for tuning; judge {MIN_QUERIES} or more")
    cached = _CachedObjective(objective)
    order = np.random.default_rng(seed).permutation(queries)
    held_out, choices = np.empty(queries), []
    for fold in np.array_split(order, min(folds, queries)):
        others = np.setdiff1d(order, fold)
        choice = coordinate_search(cached, space, defaults, others)
        held_out[fold] = cached(choice)[fold]
        choices.append(choice)
    before = cached(defaults)
    difference = (held_out - before)[:, np.newaxis]
    low, high = bootstrap_intervals(difference, seed=seed)
    return TuningResult(
        defaults=dict(defaults),
        chosen=coordinate_search(cached, space, defaults, order),
        queries=queries,
        default_mean=float(before.mean()),
        held_out_mean=float(held_out.mean()),
        low=float(low[0]),
        high=float(high[0]),
        p=float(randomization_p(difference, seed=seed)[0]),
        detectable=float(detectable_difference(difference)[0]),
        fold_choices=tuple(choices),
        tried=cached.tried,
    )


def coordinate_search(objective: Objective, space: SearchSpace, start: Settings, queries: NDArray[np.intp]) -> Settings:
    """Return the settings with the best mean over `queries` by coordinate ascent."""
    best = dict(start)
    mean = objective(best)[queries].mean()
    for _ in range(MAX_PASSES):
        before = dict(best)
        for name, values in space.items():
            for value in values:
                candidate = {**best, name: value}
                candidate_mean = objective(candidate)[queries].mean()
                if candidate_mean > mean + _MIN_GAIN:
                    best, mean = candidate, candidate_mean
        if best == before:
            break
    return best


class _CachedObjective:
    """An objective that measures each combination of settings once."""

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self._known: dict[frozenset[tuple[str, Any]], QueryValues] = {}

    def __call__(self, settings: Settings) -> QueryValues:
        key = frozenset(settings.items())
        if key not in self._known:
            self._known[key] = self._objective(settings)
        return self._known[key]

    @property
    def tried(self) -> int:
        return len(self._known)
