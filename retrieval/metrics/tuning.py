"""Choosing settings by judged queries, and honestly: what is reported was measured on queries that did not choose.

The search changes one setting at a time, from where it stands, twice through or until nothing helps.  Cross-validation
runs that whole search once for each fold without the fold's queries and measures the fold with what it chose; the
settings that are finally offered come from a search over all queries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import InputError
from retrieval.metrics.significance import (
    ALPHA,
    ROUNDS,
    bootstrap_intervals,
    detectable_difference,
    randomization_p,
)

FOLDS = 5
MIN_QUERIES = 10  # fewer cannot show anything
MAX_PASSES = 2
_GAIN = 1e-9  # a mean that is higher by less is no gain, so that of equals the first, the default, stays

Settings: TypeAlias = Mapping[str, float]
SearchSpace: TypeAlias = Mapping[str, Sequence[float]]  # setting → the values to try
QueryValues: TypeAlias = NDArray[np.float64]  # (queries,)
Objective: TypeAlias = Callable[[Settings], QueryValues]


@dataclass(frozen=True, slots=True)
class TuningResult:
    """What tuning found.  The held-out figures are means over all queries, each measured by others' choice."""

    defaults: Settings
    chosen: Settings
    queries: int
    default_mean: float
    held_out_mean: float
    low: float  # ends of the 95 % interval of the held-out gain
    high: float
    p: float
    detectable: float
    fold_choices: tuple[Settings, ...]
    tried: int  # settings that were measured

    @property
    def gain(self) -> float:
        """Held-out mean less the mean of the defaults."""
        return self.held_out_mean - self.default_mean

    @property
    def accepted(self) -> bool:
        """Whether the gain is shown on held-out queries; otherwise the defaults should be kept."""
        return self.p < ALPHA and self.gain > 0 and dict(self.chosen) != dict(self.defaults)


def tune(
    measure: Objective, space: SearchSpace, defaults: Settings, queries: int, *, folds: int = FOLDS, seed: int = 0
) -> TuningResult:
    """Search `space` from `defaults`.  `measure` gives each query's value under some settings.

    Raises InputError when there are too few queries to show anything.
    """
    if queries < MIN_QUERIES:
        raise InputError(f"{queries} judged queries are too few to tune by; judge {MIN_QUERIES} or more")
    remembered = _Remembered(measure)
    order = np.random.default_rng(seed).permutation(queries)
    held_out, choices = np.empty(queries), []
    for fold in np.array_split(order, min(folds, queries)):
        others = np.setdiff1d(order, fold)
        choice = coordinate_search(remembered, space, defaults, others)
        held_out[fold] = remembered(choice)[fold]
        choices.append(choice)
    before = remembered(defaults)
    difference = (held_out - before)[:, np.newaxis]
    interval = bootstrap_intervals(difference, seed=seed)
    return TuningResult(
        defaults=dict(defaults),
        chosen=coordinate_search(remembered, space, defaults, order),
        queries=queries,
        default_mean=float(before.mean()),
        held_out_mean=float(held_out.mean()),
        low=float(interval.low[0]),
        high=float(interval.high[0]),
        p=float(randomization_p(difference, rounds=ROUNDS, seed=seed)[0]),
        detectable=float(detectable_difference(difference)[0]),
        fold_choices=tuple(choices),
        tried=remembered.tried,
    )


def coordinate_search(measure: Objective, space: SearchSpace, start: Settings, queries: NDArray[np.intp]) -> Settings:
    """The best settings that changing one at a time leads to, by the mean over `queries`."""
    best = dict(start)
    mean = measure(best)[queries].mean()
    for _ in range(MAX_PASSES):
        before = dict(best)
        for name, values in space.items():
            for value in values:
                candidate = {**best, name: value}
                found = measure(candidate)[queries].mean()
                if found > mean + _GAIN:
                    best, mean = candidate, found
        if best == before:
            break
    return best


class _Remembered:
    """Measures each settings once."""

    def __init__(self, measure: Objective) -> None:
        self._measure = measure
        self._known: dict[tuple[tuple[str, float], ...], QueryValues] = {}

    def __call__(self, settings: Settings) -> QueryValues:
        key = tuple(sorted(settings.items()))
        if key not in self._known:
            self._known[key] = self._measure(settings)
        return self._known[key]

    @property
    def tried(self) -> int:
        """How many settings were measured."""
        return len(self._known)
