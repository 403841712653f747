"""Scaled dot-product attention and its multi-head layer.

Three implementations: `attend_plain` is the definition, spelled out, and the only one that can return
the attention weights; `attend_packed` is what torch runs; `attend_rows` is what is exported.  Tests hold the
fast ones against the plain one.

A *window* of w lets a token see those at most w places away (None: the whole text).  A *bias* (H, L, L) is added to
the scaled scores of a text of up to L tokens; it depends on the two places alone.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retrieval.encoder.model.packing import Packed, Rows, Run
from retrieval.encoder.model.positions import Rotation

BLOCK_TOKENS = 256  # queries that windowed attention takes at a time
LONG_TOKENS = 512  # texts above this length attend block by block where there is a window


def band(queries: Tensor, keys: Tensor, window: int) -> Tensor:
    """(n,), (m,) places → (n, m), True where a key is within the window of a query."""
    return (queries[:, None] - keys[None, :]).abs() <= window


def attend_plain(
    q: Tensor, k: Tensor, v: Tensor, layout: Packed, *, window: int | None = None, bias: Tensor | None = None
) -> tuple[Tensor, list[Tensor]]:
    """q, k, v: (T, H, D).  Returns (T, H, D) and, for each sequence of t tokens, the weights (H, t, t)."""
    out = torch.empty_like(q)
    weights: list[Tensor] = []
    start = 0
    for length in layout.lengths:
        one = slice(start, start + length)
        scores = torch.einsum("ihd,jhd->hij", q[one], k[one]) / math.sqrt(q.shape[-1])
        if bias is not None:
            scores = scores + bias[:, :length, :length]
        if window is not None:
            places = torch.arange(length, device=q.device)
            scores = scores.masked_fill(~band(places, places, window), -torch.inf)
        weights.append(scores.softmax(-1))
        out[one] = torch.einsum("hij,jhd->ihd", weights[-1], v[one])
        start += length
    return out, weights


def attend_packed(
    q: Tensor, k: Tensor, v: Tensor, layout: Packed, *, window: int | None = None, bias: Tensor | None = None
) -> Tensor:
    """q, k, v: (T, H, D) → (T, H, D).  Sequences of one length that lie together are attended at once, unpadded."""
    out = torch.empty_like(q)
    for run in layout.runs:
        shape = (run.count, run.length, *q.shape[1:])
        one = [x[run.tokens].view(shape).transpose(1, 2) for x in (q, k, v)]  # each (B, H, t, D)
        out[run.tokens].view(shape).copy_(_attend_run(one, run, window, bias).transpose(1, 2))
    return out


def _attend_run(qkv: list[Tensor], run: Run, window: int | None, bias: Tensor | None) -> Tensor:
    """Attention of sequences of one length: each of q, k, v is (B, H, t, D)."""
    if window is not None and window < run.length:
        return _attend_blocks(qkv, window, bias, BLOCK_TOKENS if run.length > LONG_TOKENS else run.length)
    mask = None if bias is None else bias[None, :, : run.length, : run.length].to(qkv[0].dtype)
    q, k, v = qkv
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def _attend_blocks(qkv: list[Tensor], window: int, bias: Tensor | None, block: int) -> Tensor:
    """Windowed attention: a block of queries meets only the keys that its windows reach."""
    q, k, v = qkv
    length = q.shape[2]
    out = torch.empty_like(q)
    for start in range(0, length, block):
        mine = slice(start, min(start + block, length))
        seen = slice(max(0, start - window), min(mine.stop + window, length))
        places = torch.arange(length, device=q.device)
        mask = band(places[mine], places[seen], window)
        if bias is not None:
            mask = bias[:, mine, seen].masked_fill(~mask, -torch.inf).to(q.dtype)[None]
        out[:, :, mine] = F.scaled_dot_product_attention(q[:, :, mine], k[:, :, seen], v[:, :, seen], attn_mask=mask)
    return out


def attend_rows(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    layout: Rows,
    *,
    window: int | None = None,
    bias: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """q, k, v: (B, L, H, D) → the same.  What stands where there is no text has no meaning.

    scale: of the scores, 1/√D where none is given.
    """
    mask = layout.mask
    if bias is not None:
        mask = mask + bias[None]
    if window is not None:
        mask = mask.masked_fill(~band(layout.places, layout.places, window), -torch.inf)
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask.to(q.dtype), scale=scale).transpose(1, 2)


class SelfAttention(nn.Module):
    """Multi-head self-attention: one projection to queries, keys and values, one back."""

    def __init__(self, width: int, heads: int, *, window: int | None = None, biased: bool = True) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"a width of {width} does not divide into {heads} heads")
        self.heads = heads
        self.window = window
        self.qkv = nn.Linear(width, 3 * width, bias=biased)
        self.out = nn.Linear(width, width, bias=biased)

    def forward(
        self,
        x: Tensor,
        layout: Packed,
        *,
        bias: Tensor | None = None,
        rotation: Rotation | None = None,
        weights: list[list[Tensor]] | None = None,
    ) -> Tensor:
        """x: (T, width) → (T, width).  A list given as `weights` gets the attention weights appended."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(-3)  # each (T, H, D)
        if rotation is not None:
            q, k = rotation(q), rotation(k)
        return self.out(self._attend(q, k, v, layout, bias, weights).flatten(-2))  # type: ignore[no-any-return]

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, layout: Packed, bias: Tensor | None, weights: list[list[Tensor]] | None
    ) -> Tensor:
        if weights is None:
            return attend_packed(q, k, v, layout, window=self.window, bias=bias)
        out, of_each = attend_plain(q, k, v, layout, window=self.window, bias=bias)
        weights.append(of_each)
        return out


class RowsAttention(nn.Module):
    """The same layer for rows, as it is exported.

    Three projections rather than one, so that nothing has to be cut apart, and the scale of the scores is in the first.
    """

    def __init__(self, layer: SelfAttention) -> None:
        super().__init__()
        self.heads = layer.heads
        self.window = layer.window
        scale = math.sqrt(layer.heads / layer.out.in_features)
        self.queries, self.keys, self.values = (
            _part(layer.qkv, place, factor) for place, factor in enumerate((scale, 1.0, 1.0))
        )
        self.out = layer.out

    def forward(
        self,
        x: Tensor,
        layout: Rows,
        *,
        bias: Tensor | None = None,
        rotation: Rotation | None = None,
        weights: None = None,
    ) -> Tensor:
        """x: (B, L, width) → the same."""
        assert weights is None, "the attention of rows is one kernel, which keeps no weights"
        q, k, v = (each(x).unflatten(-1, (self.heads, -1)) for each in (self.queries, self.keys, self.values))
        if rotation is not None:
            q, k = rotation(q), rotation(k)
        return self.out(attend_rows(q, k, v, layout, window=self.window, bias=bias, scale=1.0).flatten(-2))  # type: ignore[no-any-return]


def _part(joined: nn.Linear, place: int, factor: float) -> nn.Linear:
    """One of three projections that were joined, times `factor`."""
    part = nn.Linear(joined.in_features, joined.out_features // 3, bias=joined.bias is not None)
    part.weight = nn.Parameter(joined.weight.chunk(3)[place] * factor)
    if joined.bias is not None:
        part.bias = nn.Parameter(joined.bias.chunk(3)[place] * factor)
    return part
