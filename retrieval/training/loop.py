"""The training loop, which can be stopped and resumed.

All chance depends on the seed and the number of the step alone, so a resumed run takes the same steps as one that was
never stopped, on one device with the same number of threads.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from retrieval.errors import InputError
from retrieval.training.optimizer import OptimizerSettings, make_optimizer, rate_factor, take_step
from retrieval.training.trainable import TrainableEncoder
from retrieval.util.files import Files
from retrieval.util.temporaries import replacing

MODEL, BEST, MOMENTS = "model.", "best.", "moments."  # prefixes of the tensors of a checkpoint


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How to train; a checkpoint of other settings is refused."""

    steps: int
    data: str = ""  # a digest of the pairs, so that a run does not resume with others
    seed: int = 0
    measurements: int = 4  # of the held-out measure during the run
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The state after some steps; `held_out` is None where nothing was measured."""

    step: int
    loss: float
    seconds: float
    held_out: float | None = None


@dataclass(slots=True)
class TrainingRun:
    """The curve of a run so far, and the trained weights that measured best."""

    curve: list[CurvePoint] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_value: float = -np.inf
    stopped_early: bool = False  # by the time budget


def set_threads(threads: int | None) -> None:
    """Use so many threads in this process; None: as torch chooses."""
    if threads is not None:
        torch.set_num_threads(threads)


def train(
    encoder: TrainableEncoder,
    take_gradients: Callable[[int], float],
    settings: TrainingSettings,
    *,
    measure: Callable[[TrainableEncoder], float],
    checkpoint: Path,
    budget_s: float = np.inf,
    watch: Callable[[CurvePoint], None],
    save_every_s: float = 60.0,
) -> TrainingRun:
    """Train in place, and leave the encoder with the weights that measured best.

    `take_gradients` adds the gradients of a step to the encoder's weights, the same each time, and returns the loss.
    `measure` gives a held-out measure, greater is better.  The weights before the first step are measured, and do not
    take part: trained weights that measure worse can still give a better average with them.  `checkpoint` is a file; if
    it exists the run goes on from it.
    """
    optimizer = make_optimizer(encoder, settings.optimizer)
    run = TrainingRun()
    first = _resume(checkpoint, encoder, optimizer, run, settings)
    if not run.curve:
        run.curve.append(CurvePoint(0, 0.0, 0.0, measure(encoder.eval())))
        watch(run.curve[-1])
    spent, started = run.curve[-1].seconds, time.monotonic()
    saved = started
    measured_at = _measured_steps(settings)
    for step in range(first, settings.steps):
        if spent + time.monotonic() - started > budget_s:
            run.stopped_early = True
            break
        loss = _step(encoder, take_gradients, optimizer, settings, step)
        held_out = measure(encoder.eval()) if step + 1 in measured_at else None
        if held_out is not None:
            _keep_if_best(encoder, run, held_out)
        run.curve.append(CurvePoint(step + 1, loss, spent + time.monotonic() - started, held_out))
        watch(run.curve[-1])
        if held_out is not None or time.monotonic() - saved > save_every_s:
            _save(checkpoint, encoder, optimizer, run, settings)
            saved = time.monotonic()
    if run.stopped_early:
        _keep_if_best(encoder, run, measure(encoder.eval()))
    encoder.load_state_dict(run.best)
    return run


def _step(
    encoder: TrainableEncoder,
    take_gradients: Callable[[int], float],
    optimizer: torch.optim.Optimizer,
    settings: TrainingSettings,
    step: int,
) -> float:
    """Change the weights once, and return the loss."""
    torch.manual_seed(settings.seed * 1_000_003 + step)
    encoder.train()
    loss = take_gradients(step)
    factor = rate_factor(step, settings.steps, settings.optimizer.warm_up)
    take_step(encoder, optimizer, factor, settings.optimizer.max_norm)
    return loss


def _measured_steps(settings: TrainingSettings) -> set[int]:
    return {round(settings.steps * i / settings.measurements) for i in range(1, settings.measurements + 1)}


def _keep_if_best(encoder: TrainableEncoder, run: TrainingRun, value: float) -> None:
    if value > run.best_value:
        run.best_value = value
        run.best = encoder.weights()


def _identity(settings: TrainingSettings) -> str:
    return json.dumps(asdict(settings), sort_keys=True)


def _save(
    path: Path,
    encoder: TrainableEncoder,
    optimizer: torch.optim.Optimizer,
    run: TrainingRun,
    settings: TrainingSettings,
) -> None:
    """Write the state of a run as one safetensors file, atomically."""
    tensors = {MODEL + name: tensor for name, tensor in encoder.state_dict().items()}
    tensors |= {BEST + name: tensor for name, tensor in run.best.items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"{MOMENTS}{number}.{name}": torch.as_tensor(value) for name, value in state.items()}
    record = {
        "step": run.curve[-1].step,
        "settings": _identity(settings),
        "best_value": run.best_value,
        "curve": [[point.step, point.loss, point.seconds, point.held_out] for point in run.curve],
    }
    data = save({name: tensor.contiguous().cpu() for name, tensor in tensors.items()}, {"run": json.dumps(record)})
    with replacing(path, Files()) as file:
        file.write(data)


def _resume(
    path: Path,
    encoder: TrainableEncoder,
    optimizer: torch.optim.Optimizer,
    run: TrainingRun,
    settings: TrainingSettings,
) -> int:
    """Restore an interrupted run, and return its next step; 0 without one.

    Raises InputError for a checkpoint of other settings.
    """
    if not path.exists():
        return 0
    data = path.read_bytes()
    record = json.loads(_metadata(data)["run"])
    if record["settings"] != _identity(settings):
        raise InputError(f"{path} is of a run with other settings; remove it, or choose another --out")
    tensors = load(data)
    encoder.load_state_dict(_part(tensors, MODEL))
    run.best = _part(tensors, BEST)
    run.best_value = record["best_value"]
    run.curve = [CurvePoint(*point) for point in record["curve"]]
    state: dict[int, dict[str, Any]] = {}
    for name, tensor in _part(tensors, MOMENTS).items():
        number, _, kind = name.partition(".")
        state.setdefault(int(number), {})[kind] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return int(record["step"])


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _metadata(data: bytes) -> dict[str, str]:
    """Return the texts in the header of a safetensors file."""
    size = int.from_bytes(data[:8], "little")
    return dict(json.loads(data[8 : 8 + size]).get("__metadata__", {}))
