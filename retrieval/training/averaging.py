"""Averages of the weights of two encoders (WiSE-FT, Wortsman et al. 2022)."""

from __future__ import annotations

import torch

from retrieval.training.trainable import TrainableEncoder, Weights

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the trained weights


def averaged(base: Weights, trained: Weights, share: float) -> Weights:
    """Return `(1 - share) · base + share · trained` for each weight."""
    return {name: torch.lerp(tensor, trained[name], share) for name, tensor in base.items()}


def take_average(encoder: TrainableEncoder, base: Weights, trained: Weights, share: float) -> None:
    """Give the encoder the average of two sets of weights."""
    encoder.load_state_dict(averaged(base, trained, share))
