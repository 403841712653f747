"""Tuning finds what is there, and keeps the defaults where nothing is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from retrieval.errors import InputError
from retrieval.metrics.tuning import coordinate_search, tune

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
