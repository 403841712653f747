"""The optimiser: AdamW with rates by layer, and a schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from retrieval.training.trainable import TrainableEncoder


@dataclass(frozen=True, slots=True)
class OptimizerSettings:
    """AdamW (Loshchilov and Hutter 2019), with the step sizes of fine-tuning."""

    rate: float = 2e-5  # of the last layer and the head
    layer_decay: float = 0.9  # factor of the rate for each layer further down (Howard and Ruder 2018); 1: one rate
    weight_decay: float = 0.01  # of matrices; biases and normalisations have none
    warm_up: float = 0.1  # share of the steps in which the rate grows from 0
    max_norm: float = 1.0  # of all gradients together


def make_optimizer(encoder: TrainableEncoder, settings: OptimizerSettings) -> torch.optim.AdamW:
    """Return the optimiser; each group of parameters keeps its rate as `base_rate`."""
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    layers = len(encoder.transformer.layers)
    for name, parameter in encoder.named_parameters():
        groups.setdefault((_depth(name, layers), parameter.dim() > 1), []).append(parameter)
    listed: list[dict[str, Any]] = []
    for (depth, decays), parameters in groups.items():
        rate = settings.rate * settings.layer_decay**depth
        decay = settings.weight_decay if decays else 0.0
        listed.append({"params": parameters, "lr": rate, "base_rate": rate, "weight_decay": decay})
    return torch.optim.AdamW(listed, betas=(0.9, 0.999), eps=1e-8)


def _depth(name: str, layers: int) -> int:
    """Count the layers above a parameter: 0 for the last layer and the head."""
    if name.startswith("transformer.layers."):
        return layers - 1 - int(name.split(".")[2])
    return layers if name.startswith("transformer.embeddings.") else 0


def take_step(encoder: TrainableEncoder, optimizer: torch.optim.Optimizer, factor: float, max_norm: float) -> None:
    """Change the weights, at `factor` of each rate, and clear the gradients."""
    for group in optimizer.param_groups:
        group["lr"] = factor * group["base_rate"]
    nn.utils.clip_grad_norm_(encoder.parameters(), max_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def rate_factor(step: int, steps: int, warm_up: float) -> float:
    """Return the factor of a step: up in the warm-up, then linearly down to 0."""
    rising = max(1, round(warm_up * steps))
    return (step + 1) / rising if step < rising else max(0.0, (steps - step) / max(1, steps - rising))
