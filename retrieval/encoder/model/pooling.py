"""Turn hidden states into one vector a text: pooling, projections, normalisation."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retrieval.encoder.model.model_shape import DenseShape, HeadShape
from retrieval.encoder.model.packing import Layout


def _first(x: Tensor, layout: Layout) -> Tensor:
    return layout.take(x, (torch.zeros_like(layout.sizes) + layout.skip).minimum(layout.sizes - 1))


def _last(x: Tensor, layout: Layout) -> Tensor:
    return layout.take(x, layout.sizes - 1)


def _max(x: Tensor, layout: Layout) -> Tensor:
    return layout.max(x.masked_fill(~layout.pooled[..., None], -torch.inf))


def _sum(x: Tensor, layout: Layout) -> Tensor:
    return layout.sum(x * layout.pooled[..., None])


def _count(layout: Layout) -> Tensor:
    return (layout.sizes - layout.skip).clamp(min=1)[:, None]


def _mean(x: Tensor, layout: Layout) -> Tensor:
    return _sum(x, layout) / _count(layout)


def _mean_sqrt(x: Tensor, layout: Layout) -> Tensor:
    return _sum(x, layout) / _count(layout).sqrt()


def _weighted_mean(x: Tensor, layout: Layout) -> Tensor:
    """Weight each token by its position, counted from 1 (Muennighoff, SGPT, 2022)."""
    weight = ((layout.positions + 1) * layout.pooled)[..., None].float()
    return layout.sum(x * weight) / layout.sum(weight).clamp(min=1)


POOLINGS: dict[str, Callable[[Tensor, Layout], Tensor]] = {
    "cls": _first,
    "max": _max,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_sqrt,
    "weightedmean": _weighted_mean,
    "lasttoken": _last,
}

DENSE_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "Tanh": torch.tanh,
    "Identity": lambda x: x,
    "ReLU": F.relu,
    "GELU": F.gelu,
    "SiLU": F.silu,
    "Sigmoid": torch.sigmoid,
}


class Dense(nn.Module):
    """A linear layer with an activation, and a residual if the shape has one."""

    def __init__(self, shape: DenseShape) -> None:
        super().__init__()
        self.shape = shape
        self.activation = DENSE_ACTIVATIONS[shape.activation]
        self.linear = nn.Linear(shape.inputs, shape.outputs, bias=shape.biased)
        projected = shape.residual and shape.inputs != shape.outputs
        self.residual = nn.Linear(shape.inputs, shape.outputs, bias=False) if projected else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out = self.activation(self.linear(x))
        return out + self.residual(x) if self.shape.residual else out


class PoolingHead(nn.Module):
    """All steps from hidden states to the text's vector."""

    def __init__(self, shape: HeadShape) -> None:
        super().__init__()
        self.shape = shape
        self.poolings = [POOLINGS[name] for name in shape.poolings]
        self.dense = nn.ModuleList(Dense(dense) for dense in shape.dense)

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        """Pool hidden states of either layout: → (B, dimension), float32."""
        return self.project(torch.cat([pool(x, layout).float() for pool in self.poolings], dim=-1))

    def project(self, x: Tensor) -> Tensor:
        """Apply the steps after pooling: (…, width) → (…, dimension)."""
        for dense in self.dense:
            x = dense(x)
        x = x[..., : self.shape.truncate]
        return F.normalize(x, dim=-1) if self.shape.normalize else x
