"""How an encoder learns where a token stands: sinusoids, learned vectors, relative biases, rotations."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn


class SinusoidalPositions(nn.Module):
    """Sines in the even dimensions, cosines in the odd ones, wavelengths from 2π to 20,000π; nothing to load.

    Vaswani et al., Attention Is All You Need, 2017, section 3.5.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, positions: Tensor) -> Tensor:
        """(…,) → (…, width)"""
        step = torch.arange(0, self.width, 2, device=positions.device)
        angle = positions[..., None] * torch.exp(step * (-math.log(10_000.0) / self.width))
        return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(-2)[..., : self.width]


class LearnedPositions(nn.Module):
    """A vector for each place; RoBERTa's and MPNet's tables start `offset` rows down."""

    def __init__(self, length: int, width: int, offset: int = 0) -> None:
        super().__init__()
        self.offset = offset
        self.table = nn.Embedding(length, width)

    def forward(self, positions: Tensor) -> Tensor:
        """(…,) → (…, width)"""
        return self.table(positions + self.offset)  # type: ignore[no-any-return]


class RelativeBias(nn.Module):
    """A learned number for each head and bucket of distances: near ones apart, far ones by their logarithm.

    Raffel et al., Exploring the Limits of Transfer Learning, 2020, section 2.1, in the two-sided form of MPNet.
    """

    def __init__(self, heads: int, buckets: int, farthest: int = 128) -> None:
        super().__init__()
        self.buckets = buckets
        self.farthest = farthest
        self.table = nn.Embedding(buckets, heads)

    def forward(self, positions: Tensor) -> Tensor:
        """(L,) places → (H, L, L)"""
        distance = positions[None, :] - positions[:, None]  # of the key, seen from the query
        return self.table(self._bucket(distance)).permute(2, 0, 1)  # type: ignore[no-any-return]

    def _bucket(self, distance: Tensor) -> Tensor:
        half = self.buckets // 2
        exact = half // 2
        far = distance.abs().clamp(min=1).float()
        share = torch.log(far / exact) / math.log(self.farthest / exact)  # of the way to the farthest bucket
        by_logarithm = exact + (share * (half - exact)).long()
        size = torch.where(distance.abs() < exact, distance.abs(), by_logarithm.clamp(max=half - 1))
        return size + half * (distance > 0)


@dataclass(frozen=True, slots=True)
class Rotation:
    """Turns each pair of dimensions (i, i + D/2) of queries and keys by an angle that grows with the place.

    Su et al., RoFormer, 2021.  cos, sin: (…, 1, D), float32.
    """

    cos: Tensor
    sin: Tensor

    @classmethod
    def at(cls, positions: Tensor, dimension: int, base: float) -> Rotation:
        """positions: (…,).  `dimension` D is that of one head."""
        frequency = 1.0 / (base ** (torch.arange(0, dimension, 2, device=positions.device).float() / dimension))
        angle = positions[..., None].float() * frequency
        both = torch.cat((angle, angle), dim=-1)[..., None, :]
        return cls(both.cos(), both.sin())

    def __call__(self, x: Tensor) -> Tensor:
        """(…, H, D) → (…, H, D)"""
        first, second = x.float().chunk(2, dim=-1)
        turned = x.float() * self.cos + torch.cat((-second, first), dim=-1) * self.sin
        return turned.to(x.dtype)
