"""Scaled dot-product attention and its multi-head layer.

There are three implementations.  `attend_plain` follows the definition, and only it returns the attention weights.
`attend_packed` runs on torch.  `attend_rows` is exported.  Tests compare the two fast ones with the plain one.

With a *window* of w, a token attends to tokens at most w positions away (None: to the whole text).  A *bias* (H, L, L)
is added to the scaled scores of a text of up to L tokens; it depends on the two positions alone.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retrieval.encoder.model.packing import PackedLayout, RowLayout, SequenceGroup
from retrieval.encoder.model.positions import Rotation

BLOCK_TOKENS = 256  # queries of one block of windowed attention
LONG_TOKENS = 512  # windowed attention runs block by block on texts above this length


def band(queries: Tensor, keys: Tensor, window: int) -> Tensor:
    """Check which keys are in each query's window: positions (n,), (m,) → (n, m)."""
    return (queries[:, None] - keys[None, :]).abs() <= window


def attend_plain(
    q: Tensor, k: Tensor, v: Tensor, layout: PackedLayout, *, window: int | None = None, bias: Tensor | None = None
) -> tuple[Tensor, list[Tensor]]:
    """Attend by the definition: q, k, v (T, H, D) → (T, H, D), weights (H, t, t) each."""
    out = torch.empty_like(q)
    weights: list[Tensor] = []
    start = 0
    for length in layout.lengths:
        tokens = slice(start, start + length)
        scores = torch.einsum("ihd,jhd->hij", q[tokens], k[tokens]) / math.sqrt(q.shape[-1])
        if bias is not None:
            scores = scores + bias[:, :length, :length]
        if window is not None:
            positions = torch.arange(length, device=q.device)
            scores = scores.masked_fill(~band(positions, positions, window), -torch.inf)
        weights.append(scores.softmax(-1))
        out[tokens] = torch.einsum("hij,jhd->ihd", weights[-1], v[tokens])
        start += length
    return out, weights


def attend_packed(
    q: Tensor, k: Tensor, v: Tensor, layout: PackedLayout, *, window: int | None = None, bias: Tensor | None = None
) -> Tensor:
    """Attend to sequences of one length at once: q, k, v (T, H, D) → (T, H, D)."""
    out = torch.empty_like(q)
    for group in layout.groups:
        shape = (group.count, group.length, *q.shape[1:])
        qkv = [x[group.tokens].view(shape).transpose(1, 2) for x in (q, k, v)]  # each (B, H, t, D)
        out[group.tokens].view(shape).copy_(_attend_group(qkv, group, window, bias).transpose(1, 2))
    return out


def _attend_group(qkv: list[Tensor], group: SequenceGroup, window: int | None, bias: Tensor | None) -> Tensor:
    length = group.length
    if window is not None and window < length:
        return _attend_blocks(qkv, window, bias, BLOCK_TOKENS if length > LONG_TOKENS else length)
    mask = None if bias is None else bias[None, :, :length, :length].to(qkv[0].dtype)
    q, k, v = qkv
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def _attend_blocks(qkv: list[Tensor], window: int, bias: Tensor | None, block: int) -> Tensor:
    """Attend with a window: a block of queries meets the keys in its windows only."""
    q, k, v = qkv
    length = q.shape[2]
    out = torch.empty_like(q)
    for start in range(0, length, block):
        queries = slice(start, min(start + block, length))
        keys = slice(max(0, start - window), min(queries.stop + window, length))
        positions = torch.arange(length, device=q.device)
        mask = band(positions[queries], positions[keys], window)
        if bias is not None:
            mask = bias[:, queries, keys].masked_fill(~mask, -torch.inf).to(q.dtype)[None]
        out[:, :, queries] = F.scaled_dot_product_attention(
            q[:, :, queries], k[:, :, keys], v[:, :, keys], attn_mask=mask
        )
    return out


def attend_rows(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    layout: RowLayout,
    *,
    window: int | None = None,
    bias: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """Attend within the texts of rows: q, k, v (B, L, H, D) → (B, L, H, D).

    The output of tokens without a text has no meaning.  `scale` is the factor of the scores, 1/√D by default.
    """
    mask = layout.mask
    if bias is not None:
        mask = mask + bias[None]
    if window is not None:
        mask = mask.masked_fill(~band(layout.relative_positions, layout.relative_positions, window), -torch.inf)
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask.to(q.dtype), scale=scale).transpose(1, 2)


class SelfAttention(nn.Module):
    """Multi-head self-attention: one projection to queries, keys and values, one back."""

    def __init__(self, width: int, num_heads: int, *, window: int | None = None, biased: bool = True) -> None:
        super().__init__()
        if width % num_heads:
            raise ValueError(f"a width of {width} does not divide into {num_heads} heads")
        self.num_heads = num_heads
        self.window = window
        self.qkv = nn.Linear(width, 3 * width, bias=biased)
        self.out = nn.Linear(width, width, bias=biased)

    def forward(
        self,
        x: Tensor,
        layout: PackedLayout,
        *,
        bias: Tensor | None = None,
        rotation: Rotation | None = None,
        weights: list[list[Tensor]] | None = None,
    ) -> Tensor:
        """Attend: x (T, width) → (T, width).  Appends attention to a list `weights`."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).unbind(-3)  # each (T, H, D)
        if rotation is not None:
            q, k = rotation(q), rotation(k)
        if weights is None:
            mixed = attend_packed(q, k, v, layout, window=self.window, bias=bias)
        else:
            mixed, layer_weights = attend_plain(q, k, v, layout, window=self.window, bias=bias)
            weights.append(layer_weights)
        return self.out(mixed.flatten(-2))  # type: ignore[no-any-return]


class RowsAttention(nn.Module):
    """The layer `SelfAttention` for rows, as it is exported."""

    def __init__(self, layer: SelfAttention) -> None:
        super().__init__()
        self.num_heads = layer.num_heads
        self.window = layer.window
        # Three projections, so that the graph need not split a product; the scale of the scores is in the first.
        factors = (math.sqrt(layer.num_heads / layer.out.in_features), 1.0, 1.0)
        self.queries, self.keys, self.values = (_third(layer.qkv, i, factor) for i, factor in enumerate(factors))
        self.out = layer.out

    def forward(
        self,
        x: Tensor,
        layout: RowLayout,
        *,
        bias: Tensor | None = None,
        rotation: Rotation | None = None,
        weights: None = None,
    ) -> Tensor:
        """Attend: x (B, L, width) → (B, L, width)."""
        assert weights is None, "the attention of rows is one kernel, which keeps no weights"
        q, k, v = (linear(x).unflatten(-1, (self.num_heads, -1)) for linear in (self.queries, self.keys, self.values))
        if rotation is not None:
            q, k = rotation(q), rotation(k)
        return self.out(attend_rows(q, k, v, layout, window=self.window, bias=bias, scale=1.0).flatten(-2))  # type: ignore[no-any-return]


def _third(joined: nn.Linear, index: int, factor: float) -> nn.Linear:
    """Split one of three joined projections off, and multiply it by `factor`."""
    part = nn.Linear(joined.in_features, joined.out_features // 3, bias=joined.bias is not None)
    part.weight = nn.Parameter(joined.weight.chunk(3)[index] * factor)
    if joined.bias is not None:
        part.bias = nn.Parameter(joined.bias.chunk(3)[index] * factor)
    return part
