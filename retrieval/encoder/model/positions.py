"""Position encodings: sinusoids, learned vectors, relative biases, rotations."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn


class SinusoidalPositions(nn.Module):
    """Sines in the even dimensions, cosines in the odd ones; no weights.

    Wavelengths run from 2π to 20,000π.  Vaswani et al., Attention Is All You Need, 2017, section 3.5.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, positions: Tensor) -> Tensor:
        """Encode positions: (…,) → (…, width)."""
        step = torch.arange(0, self.width, 2, device=positions.device)
        angle = positions[..., None] * torch.exp(step * (-math.log(10_000.0) / self.width))
        return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(-2)[..., : self.width]


class LearnedPositions(nn.Module):
    """A learned vector for each position; some tables start `offset` rows down."""

    def __init__(self, length: int, width: int, offset: int = 0) -> None:
        super().__init__()
        self.offset = offset
        self.table = nn.Embedding(length, width)

    def forward(self, positions: Tensor) -> Tensor:
        """Look up positions: (…,) → (…, width)."""
        return self.table(positions + self.offset)  # type: ignore[no-any-return]


class RelativeBias(nn.Module):
    """A learned bias for each head and bucket of distances.

    Near distances have a bucket each, far ones share logarithmic buckets.  Raffel et al., Exploring the Limits of
    Transfer Learning, 2020, section 2.1, in the two-sided form of MPNet.
    """

    def __init__(self, num_heads: int, buckets: int, max_distance: int = 128) -> None:
        super().__init__()
        self.buckets = buckets
        self.max_distance = max_distance
        self.table = nn.Embedding(buckets, num_heads)

    def forward(self, positions: Tensor) -> Tensor:
        """Return the bias of each pair of positions: (L,) → (H, L, L)."""
        distance = positions[None, :] - positions[:, None]  # position of the key minus that of the query
        return self.table(self._bucket(distance)).permute(2, 0, 1)  # type: ignore[no-any-return]

    def _bucket(self, distance: Tensor) -> Tensor:
        half = self.buckets // 2
        exact = half // 2
        far = distance.abs().clamp(min=1).float()
        share = torch.log(far / exact) / math.log(self.max_distance / exact)  # of the logarithmic buckets
        by_logarithm = exact + (share * (half - exact)).long()
        size = torch.where(distance.abs() < exact, distance.abs(), by_logarithm.clamp(max=half - 1))
        return size + half * (distance > 0)


@dataclass(frozen=True, slots=True)
class Rotation:
    """Rotary positions of queries and keys.

    Each pair of dimensions (i, i + D/2) is rotated by an angle that grows with the position.  Su et al., RoFormer,
    2021.  cos, sin: (…, 1, D), float32.
    """

    cos: Tensor
    sin: Tensor

    @classmethod
    def at(cls, positions: Tensor, dimension: int, base: float) -> Rotation:
        """Return the rotations at `positions`, (…,); `dimension` D is that of one head."""
        frequency = 1.0 / (base ** (torch.arange(0, dimension, 2, device=positions.device).float() / dimension))
        angle = positions[..., None].float() * frequency
        both = torch.cat((angle, angle), dim=-1)[..., None, :]
        return cls(both.cos(), both.sin())

    def __call__(self, x: Tensor) -> Tensor:
        """Rotate queries or keys: (…, H, D) → (…, H, D)."""
        first, second = x.float().chunk(2, dim=-1)
        rotated = x.float() * self.cos + torch.cat((-second, first), dim=-1) * self.sin
        return rotated.to(x.dtype)
