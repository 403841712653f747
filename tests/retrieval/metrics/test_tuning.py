"""Tuning finds what is there, and keeps the defaults where nothing is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from retrieval.errors import InputError
from retrieval.metrics.tuning import TimeBudget, coordinate_search, tune

SPACE = {"weight": [0.0, 0.25, 0.5, 0.75, 1.0], "k1": [0.9, 1.2, 1.5, 2.0]}
DEFAULTS = {"weight": 0.5, "k1": 1.2}


def surface(seed: int, queries: int, height: float):  # type: ignore[no-untyped-def]
    """Return noisy query values with a gain up to `height` near weight 0.75 and k1 2.0."""
    own = np.random.default_rng(seed).normal(0, 0.05, (queries, 5, 4))
    base = np.random.default_rng(seed + 1).random(queries)

    def measure(settings: Mapping[str, float]) -> np.ndarray:
        i, j = SPACE["weight"].index(settings["weight"]), SPACE["k1"].index(settings["k1"])
        gain = height * (1 - abs(settings["weight"] - 0.75)) * (1 - abs(settings["k1"] - 2.0) / 2)
        return base + gain + own[:, i, j]

    return measure


def test_what_is_there_is_found_and_held_out() -> None:
    tuned = tune(surface(1, 200, 0.3), SPACE, DEFAULTS, 200)
    assert tuned.chosen == {"weight": 0.75, "k1": 2.0}
    assert tuned.accepted
    assert tuned.low > 0
    assert tuned.gain == pytest.approx(0.3 - 0.3 * 0.75 * 0.6, abs=0.02)
    assert len(tuned.fold_choices) == 5


def test_chance_is_not_kept() -> None:
    accepted = sum(tune(surface(seed, 60, 0.0), SPACE, DEFAULTS, 60).accepted for seed in range(60))
    assert accepted <= 6  # a search always finds something; held-out queries say whether it is real


def test_nothing_to_gain_keeps_the_defaults() -> None:
    tuned = tune(lambda _: np.linspace(0, 1, 20), SPACE, DEFAULTS, 20)
    assert tuned.chosen == DEFAULTS
    assert not tuned.accepted
    assert tuned.p == 1.0


def test_choosing_by_some_queries_uses_no_others() -> None:
    values = {0.0: [1.0, 0.0, 0.0], 1.0: [0.0, 1.0, 1.0]}
    chosen = coordinate_search(
        lambda s: np.array(values[s["weight"]]), {"weight": [0.0, 1.0]}, {"weight": 1.0}, np.array([0])
    )
    assert chosen == {"weight": 0.0}


def test_each_settings_is_measured_once() -> None:
    seen: list[tuple[float, float]] = []

    def measure(settings: Mapping[str, float]) -> np.ndarray:
        seen.append((settings["weight"], settings["k1"]))
        return np.full(20, settings["weight"])

    assert tune(measure, SPACE, DEFAULTS, 20).tried == len(seen) == len(set(seen))


def test_too_few_queries_are_refused() -> None:
    with pytest.raises(InputError, match="too few for tuning"):
        tune(lambda _: np.zeros(3), SPACE, DEFAULTS, 3)


def test_effects_add_up_when_settings_do_not_depend_on_each_other() -> None:
    parts = {"weight": {0.5: 0.0, 0.75: 0.25}, "k1": {1.2: 0.0, 2.0: 0.125}}
    space = {name: list(values) for name, values in parts.items()}
    noise = np.random.default_rng(0).normal(0, 0.01, 40)
    tuned = tune(lambda s: noise + sum(parts[name][value] for name, value in s.items()), space, DEFAULTS, 40)
    assert [(each.name, each.default, each.chosen) for each in tuned.effects] == [
        ("weight", 0.5, 0.75),
        ("k1", 1.2, 2.0),
    ]
    assert [each.gain for each in tuned.effects] == pytest.approx([0.25, 0.125])
    assert all(each.p < 0.01 for each in tuned.effects)
    assert tuned.complete


def test_no_more_is_measured_than_the_budget_allows() -> None:
    """The clock advances by one second for each measurement."""
    values = surface(1, 200, 0.3)
    unlimited = tune(values, SPACE, DEFAULTS, 200)
    for seconds in range(20):
        measured: list[Mapping[str, float]] = []

        def measure(settings: Mapping[str, float], measured: list[Mapping[str, float]] = measured) -> np.ndarray:
            measured.append(settings)
            return values(settings)

        budget = TimeBudget(seconds, lambda measured=measured: float(len(measured)))  # type: ignore[misc]
        tuned = tune(measure, SPACE, DEFAULTS, 200, budget=budget)
        needed = 1 + len(tuned.effects)  # the defaults, and the chosen settings without each change
        assert tuned.tried == len(measured) <= seconds + needed
        assert tuned == unlimited if tuned.complete else tuned.tried < unlimited.tried
        assert tuned.complete or seconds < unlimited.tried
        assert seconds or tuned.chosen == DEFAULTS
