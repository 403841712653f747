"""The loop: it learns, keeps the best weights, and resumes to the same weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from retrieval.encoder.checkpoint.model_folder import open_folder
from retrieval.errors import InputError
from retrieval.training.contrastive import ContrastiveTraining, TrainingBatch
from retrieval.training.loop import CurvePoint, TrainingRun, TrainingSettings, train
from retrieval.training.optimizer import OptimizerSettings, make_optimizer, rate_factor
from retrieval.training.trainable import TrainableEncoder
from tests.retrieval.encoder.conftest import MakeFolder

QUERIES = ("glycogen store", "glucose hormone", "wing lift", "bread recipe")
PASSAGES = ("The liver keeps it.", "Insulin lowers it.", "Air flows faster above.", "Flour, water and yeast.")
SETTINGS = TrainingSettings(8, measurements=2, optimizer=OptimizerSettings(rate=1e-3))


class Trial:
    """A run over four pairs; `stop_after` steps it fails, as if it were killed."""

    def __init__(self, folder: Path, stop_after: int | None = None) -> None:
        self.encoder = TrainableEncoder(open_folder(folder))
        self.points: list[CurvePoint] = []
        self._stop_after = stop_after
        self._queries = self.encoder.query_ids(QUERIES, 32)
        self._passages = self.encoder.passage_ids(PASSAGES, 32)

    def batch(self, step: int) -> TrainingBatch:
        order = np.random.default_rng(step).permutation(4)[:3]
        queries, passages = ([ids[i] for i in order] for ids in (self._queries, self._passages))
        return TrainingBatch(queries, passages, np.zeros((3, 3), np.bool_))

    def measure(self, encoder: TrainableEncoder) -> float:
        scores = encoder.encode(self._queries) @ encoder.encode(self._passages).T
        return float(scores.diagonal().mean() - scores.mean())

    def watch(self, point: CurvePoint) -> None:
        self.points.append(point)
        if point.step == self._stop_after:
            raise KeyboardInterrupt

    def run(self, checkpoint: Path, settings: TrainingSettings = SETTINGS, budget_s: float = np.inf) -> TrainingRun:
        return train(
            self.encoder,
            ContrastiveTraining(self.encoder, self.batch).take_gradients,
            settings,
            measure=self.measure,
            checkpoint=checkpoint,
            watch=self.watch,
            save_every_s=0.0,
            budget_s=budget_s,
        )


def test_training_raises_the_measure(tmp_path: Path, make_folder: MakeFolder) -> None:
    trial = Trial(make_folder())
    before = trial.measure(trial.encoder)
    run = trial.run(tmp_path / "state")
    assert [point.step for point in run.curve] == list(range(9))
    assert run.curve[-1].loss < run.curve[1].loss
    assert run.best_value > before
    assert trial.measure(trial.encoder) == pytest.approx(run.best_value)


@pytest.mark.parametrize("stop_after", [2, 4, 7])
def test_a_stopped_run_resumes_to_the_same_weights(tmp_path: Path, make_folder: MakeFolder, stop_after: int) -> None:
    folder = make_folder()
    whole = Trial(folder)
    whole.run(tmp_path / "whole")
    stopped = Trial(folder, stop_after)
    with pytest.raises(KeyboardInterrupt):
        stopped.run(tmp_path / "state")
    resumed = Trial(folder)
    run = resumed.run(tmp_path / "state")
    assert resumed.points[0].step == stop_after  # the step that was watched, but not saved, is taken again
    assert len(run.curve) == 9
    for name, tensor in whole.encoder.weights().items():
        torch.testing.assert_close(resumed.encoder.weights()[name], tensor, atol=1e-6, rtol=1e-5)


def test_a_state_of_other_settings_is_refused(tmp_path: Path, make_folder: MakeFolder) -> None:
    folder = make_folder()
    Trial(folder).run(tmp_path / "state")
    with pytest.raises(InputError, match="other settings"):
        Trial(folder).run(tmp_path / "state", replace(SETTINGS, steps=9))


def test_trained_weights_stay_though_the_base_measured_better(tmp_path: Path, make_folder: MakeFolder) -> None:
    """An average of both may be better than either; with a share of 0 it is the base."""
    trial = Trial(make_folder())
    run = train(
        trial.encoder,
        ContrastiveTraining(trial.encoder, trial.batch).take_gradients,
        SETTINGS,
        measure=lambda encoder: -trial.measure(encoder),
        checkpoint=tmp_path / "state",
        watch=trial.watch,
    )
    base, *trained = [point.held_out for point in run.curve if point.held_out is not None]
    assert max(trained) == run.best_value < base
    assert -trial.measure(trial.encoder) == pytest.approx(run.best_value)


def test_the_budget_stops_a_run(tmp_path: Path, make_folder: MakeFolder) -> None:
    run = Trial(make_folder()).run(tmp_path / "state", budget_s=0.0)
    assert run.stopped_early
    assert len(run.curve) < 9


def test_the_rate_rises_and_falls() -> None:
    factors = [rate_factor(step, 20, 0.1) for step in range(20)]
    assert factors[:3] == [0.5, 1.0, 1.0]
    assert factors == sorted(factors[:3]) + sorted(factors[3:], reverse=True)
    assert factors[-1] == pytest.approx(1 / 18)


def test_lower_layers_learn_slower_and_biases_do_not_decay(make_folder: MakeFolder) -> None:
    encoder = TrainableEncoder(open_folder(make_folder()))
    optimizer = make_optimizer(encoder, OptimizerSettings(rate=1.0, layer_decay=0.5))
    rates = {id(p): (g["base_rate"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    named = dict(encoder.named_parameters())
    assert rates[id(named["transformer.layers.1.attention.qkv.weight"])] == (1.0, 0.01)
    assert rates[id(named["transformer.layers.0.attention.qkv.bias"])] == (0.5, 0.0)
    assert rates[id(named["transformer.embeddings.words.weight"])] == (0.25, 0.01)
