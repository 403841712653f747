"""Tune settings by judged queries, with cross-validation.

The search is coordinate ascent: it changes one setting at a time, in at most two passes.  Cross-validation repeats the
whole search for each fold without the queries of the fold, and measures the fold with the settings that it chose.  So
the reported gain comes from queries that did not choose the settings.  The final settings come from a search over all
queries.

All searches share the measured settings.  When a budget of time is spent, no further settings are measured: each search
goes on with those that are known.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
OptionalObjective: TypeAlias = Callable[[Settings], QueryValues | None]


@dataclass(frozen=True, slots=True)
class SettingEffect:
    """The part of one setting in the gain, over all queries.

    `gain` is the mean with all chosen settings, less that with this setting at its default.  The queries chose the
    setting, so `gain` and `p` are optimistic; the held-out gain of the whole choice is not.
    """

    name: str
    default: Any
    chosen: Any
    gain: float
    p: float


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
    effects: tuple[SettingEffect, ...] = ()  # of the settings that differ from the defaults
    complete: bool = True  # False if the budget was spent before all settings were measured
    grid: SearchSpace = field(default_factory=dict)  # the values that were tried

    @property
    def gain(self) -> float:
        return self.held_out_mean - self.default_mean

    @property
    def accepted(self) -> bool:
        """Whether the held-out gain is significant; otherwise keep the defaults."""
        return self.p < ALPHA and self.gain > 0 and dict(self.chosen) != dict(self.defaults)


def tune(
    objective: Objective,
    space: SearchSpace,
    defaults: Settings,
    queries: int,
    *,
    folds: int = FOLDS,
    seed: int = 0,
    budget: TimeBudget | None = None,
) -> TuningResult:
    """Search `space` from `defaults` and cross-validate the gain.

    `objective` returns the value of each query under the given settings.  No settings are measured once `budget` is
    spent, except those that the result needs: the defaults and the effects.  Raises InputError for too few queries.
    """
    if queries < MIN_QUERIES:
        raise InputError(f"{queries} judged queries are too few for tuning; judge {MIN_QUERIES} or more")
    cached = _CachedObjective(objective, budget or TimeBudget(math.inf))
    order = np.random.default_rng(seed).permutation(queries)
    before = cached.needed(defaults)
    chosen = coordinate_search(cached, space, defaults, order)
    held_out, choices = np.empty(queries), []
    for fold in np.array_split(order, min(folds, queries)):
        others = np.setdiff1d(order, fold)
        choice = coordinate_search(cached, space, defaults, others)
        held_out[fold] = cached.needed(choice)[fold]
        choices.append(choice)
    effects = tuple(_effects(cached, defaults, chosen, seed))
    difference = (held_out - before)[:, np.newaxis]
    low, high = bootstrap_intervals(difference, seed=seed)
    return TuningResult(
        defaults=dict(defaults),
        chosen=chosen,
        queries=queries,
        default_mean=float(before.mean()),
        held_out_mean=float(held_out.mean()),
        low=float(low[0]),
        high=float(high[0]),
        p=float(randomization_p(difference, seed=seed)[0]),
        detectable=float(detectable_difference(difference)[0]),
        fold_choices=tuple(choices),
        tried=cached.tried,
        effects=effects,
        complete=cached.complete,
        grid={name: tuple(values) for name, values in space.items()},
    )


def coordinate_search(
    objective: OptionalObjective, space: SearchSpace, start: Settings, queries: NDArray[np.intp]
) -> Settings:
    """Return the settings with the best mean over `queries` by coordinate ascent.

    `objective` returns None for settings that it cannot measure any more; these are left out.
    """
    best, mean = dict(start), -math.inf
    values = objective(best)
    if values is not None:
        mean = float(values[queries].mean())
    for _ in range(MAX_PASSES):
        before = dict(best)
        for name, options in space.items():
            for value in options:
                candidate = {**best, name: value}
                values = objective(candidate)
                if values is not None and values[queries].mean() > mean + _MIN_GAIN:
                    best, mean = candidate, float(values[queries].mean())
        if best == before:
            break
    return best


def _effects(cached: _CachedObjective, defaults: Settings, chosen: Settings, seed: int) -> list[SettingEffect]:
    """Measure the chosen settings without each change, the largest effect first."""
    effects = []
    with_all = cached.needed(chosen)
    for name in (name for name in chosen if chosen[name] != defaults[name]):
        difference = with_all - cached.needed({**chosen, name: defaults[name]})
        p = float(randomization_p(difference[:, np.newaxis], seed=seed)[0])
        effects.append(SettingEffect(name, defaults[name], chosen[name], float(difference.mean()), p))
    return sorted(effects, key=lambda effect: -effect.gain)


class TimeBudget:
    """A number of seconds from now on, by `clock`."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._end = clock() + seconds
        self._clock = clock

    @property
    def spent(self) -> bool:
        return self._clock() >= self._end


class _CachedObjective:
    """An objective that measures each combination of settings once, within a budget."""

    def __init__(self, objective: Objective, budget: TimeBudget) -> None:
        self.complete = True
        self._objective = objective
        self._budget = budget
        self._known: dict[frozenset[tuple[str, Any]], QueryValues] = {}

    def __call__(self, settings: Settings) -> QueryValues | None:
        """Return the queries' values; None if unknown and the budget is spent."""
        if frozenset(settings.items()) not in self._known and self._budget.spent:
            self.complete = False
            return None
        return self.needed(settings)

    def needed(self, settings: Settings) -> QueryValues:
        """Return the values of the queries, measured whatever the budget."""
        key = frozenset(settings.items())
        if key not in self._known:
            self._known[key] = self._objective(settings)
        return self._known[key]

    @property
    def tried(self) -> int:
        return len(self._known)
