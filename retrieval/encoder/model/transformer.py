"""The encoder as a module: embeddings and a stack of layers, in the variants that known checkpoints need."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retrieval.encoder.model.attention import SelfAttention
from retrieval.encoder.model.model_shape import Architecture, LayerKind
from retrieval.encoder.model.packing import Layout, Rows
from retrieval.encoder.model.positions import LearnedPositions, RelativeBias, Rotation, SinusoidalPositions

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_new": partial(F.gelu, approximate="tanh"),
    "gelu_pytorch_tanh": partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
    "silu": F.silu,
    "swish": F.silu,
}


class Embeddings(nn.Module):
    """Token ids to vectors that know their place."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.words = nn.Embedding(shape.vocabulary, shape.width)
        self.types = nn.Embedding(shape.token_types, shape.width) if shape.token_types else None
        self.places = _positions(shape)
        self.norm = nn.LayerNorm(shape.width, shape.norm_eps, bias=shape.norm_biased)

    def forward(self, ids: Tensor, positions: Tensor) -> Tensor:
        """(…,), (…,) → (…, width)"""
        x = self.words(ids)
        if self.types is not None:
            x = x + self.types.weight[0]
        if self.places is not None:
            x = x + self.places(positions).to(x.dtype)
        return self.norm(x)  # type: ignore[no-any-return]


def _positions(shape: Architecture) -> nn.Module | None:
    if shape.positions == "learned":
        length = shape.max_positions + shape.position_offset
        return LearnedPositions(length, shape.width, shape.position_offset)
    return SinusoidalPositions(shape.width) if shape.positions == "sinusoidal" else None


class FeedForward(nn.Module):
    """Two projections with a non-linearity between them, gated or not."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.gated = shape.gated
        self.activation = ACTIVATIONS[shape.activation]
        self.up = nn.Linear(shape.width, shape.inner * (2 if shape.gated else 1), bias=shape.inner_biased)
        self.down = nn.Linear(shape.inner, shape.width, bias=shape.inner_biased)

    def forward(self, x: Tensor) -> Tensor:
        if not self.gated:
            return self.down(self.activation(self.up(x)))  # type: ignore[no-any-return]
        value, gate = self.up(x).chunk(2, dim=-1)
        return self.down(self.activation(value) * gate)  # type: ignore[no-any-return]


class Layer(nn.Module):
    """Self-attention and a feed-forward part, each with a residual and a normalisation."""

    def __init__(self, shape: Architecture, kind: LayerKind, *, first: bool) -> None:
        super().__init__()
        self.pre_norm = shape.pre_norm
        self.kind = kind
        self.attention = SelfAttention(shape.width, shape.heads, window=kind.window, biased=shape.attention_biased)
        norm = partial(nn.LayerNorm, shape.width, shape.norm_eps, bias=shape.norm_biased)
        # the embeddings have just been normalised: a first pre-norm layer does not do so again
        self.attention_norm = nn.Identity() if first and shape.pre_norm else norm()
        self.inner = FeedForward(shape)
        self.inner_norm = norm()

    def forward(
        self,
        x: Tensor,
        layout: Layout,
        bias: Tensor | None,
        rotation: Rotation | None,
        weights: list[list[Tensor]] | None,
    ) -> Tensor:
        attend = partial(self.attention, layout=layout, bias=bias, rotation=rotation, weights=weights)
        if self.pre_norm:
            x = x + attend(self.attention_norm(x))
            return x + self.inner(self.inner_norm(x))  # type: ignore[no-any-return]
        x = self.attention_norm(x + attend(x))
        return self.inner_norm(x + self.inner(x))  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """Token ids to one hidden state a token."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.shape = shape
        self.embeddings = Embeddings(shape)
        self.relative = RelativeBias(shape.heads, shape.relative_buckets) if shape.relative_buckets else None
        self.layers = nn.ModuleList(Layer(shape, kind, first=i == 0) for i, kind in enumerate(shape.layers))
        self.final_norm = nn.LayerNorm(shape.width, shape.norm_eps, bias=shape.norm_biased) if shape.pre_norm else None

    def forward(self, ids: Tensor, layout: Layout, *, weights: list[list[Tensor]] | None = None) -> Tensor:
        """ids: (T,) packed or (B, L) in rows → (T, width) or (B, L, width).

        A list given as `weights` gets, layer by layer, the attention weights of each sequence, (H, t, t); this takes
        the plain path, and the packed layout.
        """
        x = self.embeddings(ids, layout.positions)
        bias = self._bias(layout)
        rotations = {base: self._rotation(layout, base) for base in {kind.rotary_base for kind in self.shape.layers}}
        for layer, kind in zip(self.layers, self.shape.layers, strict=True):
            x = layer(x, layout, bias, rotations[kind.rotary_base], weights)
        return x if self.final_norm is None else self.final_norm(x)  # type: ignore[no-any-return]

    def _bias(self, layout: Layout) -> Tensor | None:
        if self.relative is None:
            return None
        places = layout.places if isinstance(layout, Rows) else torch.arange(layout.longest, device=layout.device)
        return self.relative(places)  # type: ignore[no-any-return]

    def _rotation(self, layout: Layout, base: float) -> Rotation | None:
        return Rotation.at(layout.places, self.shape.width // self.shape.heads, base) if base else None
