"""The encoder as a torch module, in the variants of known checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retrieval.encoder.model.attention import RowsAttention, SelfAttention
from retrieval.encoder.model.model_shape import Architecture, LayerKind
from retrieval.encoder.model.packing import Layout, RowLayout
from retrieval.encoder.model.pooling import PoolingHead
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
    """Token embeddings with position encodings."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.words = nn.Embedding(shape.vocabulary, shape.width)
        self.types = nn.Embedding(shape.token_types, shape.width) if shape.token_types else None
        self.positions = _positions(shape)
        self.norm = nn.LayerNorm(shape.width, shape.norm_eps, bias=shape.norm_biased)

    def forward(self, ids: Tensor, positions: Tensor, types: Tensor | None = None) -> Tensor:
        """Embed token ids at their positions: (…,), (…,) → (…, width).

        `types`, (…,), tells the two parts of pairs apart; None stands for zeros.
        """
        x = self.words(ids)
        if self.types is not None:
            single = types is None or self.types.num_embeddings == 1
            x = x + (self.types.weight[0] if single else self.types(types))
        if self.positions is not None:
            x = x + self.positions(positions).to(x.dtype)
        return self.norm(x)  # type: ignore[no-any-return]


def _positions(shape: Architecture) -> nn.Module | None:
    if shape.positions == "learned":
        length = shape.max_positions + shape.position_offset
        return LearnedPositions(length, shape.width, shape.position_offset)
    return SinusoidalPositions(shape.width) if shape.positions == "sinusoidal" else None


class FeedForward(nn.Module):
    """Two projections with a non-linearity between them, with or without a gate."""

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


class TransformerLayer(nn.Module):
    """Self-attention and a feed-forward part, with residuals and normalisations."""

    def __init__(self, shape: Architecture, kind: LayerKind, *, first: bool) -> None:
        super().__init__()
        self.pre_norm = shape.pre_norm
        self.kind = kind
        self.attention = SelfAttention(shape.width, shape.num_heads, window=kind.window, biased=shape.attention_biased)
        norm = partial(nn.LayerNorm, shape.width, shape.norm_eps, bias=shape.norm_biased)
        # The embeddings are normalised already, so a first pre-norm layer does not normalise them again.
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
    """The attention stack: one hidden state for each token id."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.shape = shape
        self.embeddings = Embeddings(shape)
        self.relative = RelativeBias(shape.num_heads, shape.relative_buckets) if shape.relative_buckets else None
        self.layers = nn.ModuleList(TransformerLayer(shape, kind, first=i == 0) for i, kind in enumerate(shape.layers))
        self.final_norm = nn.LayerNorm(shape.width, shape.norm_eps, bias=shape.norm_biased) if shape.pre_norm else None

    def forward(
        self,
        ids: Tensor,
        layout: Layout,
        *,
        types: Tensor | None = None,
        weights: list[list[Tensor]] | None = None,
    ) -> Tensor:
        """Run the stack: ids (T,) packed or (B, L) in rows → (T, width) or (B, L, width).

        `types` has the shape of `ids`; a cross-encoder tells the query from the passage by them.
        Appends to the list `weights`, if given, for each layer the attention weights of each sequence, (H, t, t).
        This needs the packed layout, and takes the plain implementation of attention.
        """
        x = self.embeddings(ids, layout.positions, types)
        bias = self._bias(layout)
        rotations = {base: self._rotation(layout, base) for base in {kind.rotary_base for kind in self.shape.layers}}
        for layer, kind in zip(self.layers, self.shape.layers, strict=True):
            x = layer(x, layout, bias, rotations[kind.rotary_base], weights)
        return x if self.final_norm is None else self.final_norm(x)  # type: ignore[no-any-return]

    def _bias(self, layout: Layout) -> Tensor | None:
        if self.relative is None:
            return None
        if isinstance(layout, RowLayout):
            return self.relative(layout.relative_positions)  # type: ignore[no-any-return]
        return self.relative(torch.arange(layout.longest, device=layout.device))  # type: ignore[no-any-return]

    def _rotation(self, layout: Layout, base: float) -> Rotation | None:
        head_width = self.shape.width // self.shape.num_heads
        return Rotation.at(layout.relative_positions, head_width, base) if base else None


def use_row_attention(transformer: Transformer) -> Transformer:
    """Change the stack in place to run over rows, and return it."""
    for layer in transformer.layers:
        layer.attention = RowsAttention(layer.attention)  # type: ignore[arg-type]
    return transformer


class EncoderGraph(nn.Module):
    """The whole encoder over rows of tokens, as it is exported; changes `transformer`.

    `head` turns token states and their layout into the result.  With `states` the graph also returns the token states
    before pooling, which explanations need.
    """

    def __init__(self, transformer: Transformer, head: nn.Module, *, states: bool = False) -> None:
        super().__init__()
        self.transformer = use_row_attention(transformer)
        self.head = head
        self.states = states

    def forward(
        self,
        ids: Tensor,
        texts: Tensor,
        positions: Tensor,
        spans: Tensor,
        skip: Tensor,
        types: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Encode rows of tokens.

        ids, texts, positions, types: (B, L); spans: (S, 2), as in `RowLayout`; skip: (), a number of tokens.  Returns
        vectors (S, dimension), and with `states` also token states (B, L, width).
        """
        layout = RowLayout(texts, positions, spans, skip=skip)
        states = self.transformer(ids, layout, types=types)
        vectors = self.head(states, layout)
        return (vectors, states) if self.states else vectors


class TokenVectorGraph(nn.Module):
    """A late-interaction model over rows, as it is exported; changes `transformer`."""

    def __init__(self, transformer: Transformer, head: PoolingHead) -> None:
        super().__init__()
        self.transformer = use_row_attention(transformer)
        self.head = head

    def forward(self, ids: Tensor, texts: Tensor, positions: Tensor, keys: Tensor) -> Tensor:
        """Return the vector of each token: (B, L) each → (B, L, dimension), float32.

        `texts` and `keys` are those of `RowLayout`: no token attends to one whose key is no text.
        """
        layout = RowLayout(texts, positions, texts.new_zeros((0, 2)), keys=keys)
        return self.head.project(self.transformer(ids, layout).float())
