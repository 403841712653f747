"""Layouts of a batch's tokens in memory.

Tokens lie end to end without padding, or in rows of one length.  Attention, positions and pooling look across the
tokens of a text, so they ask the layout.  All other operations work token by token, in any layout.  `PackedLayout` is
the reference, and the layout on torch.  `RowLayout` has shapes that a graph compiler can follow, and is the layout of
the exported graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class SequenceGroup:
    """`count` adjacent sequences of `length` tokens each, from token `start`."""

    start: int
    count: int
    length: int

    @property
    def tokens(self) -> slice:
        return slice(self.start, self.start + self.count * self.length)


def group_sequences(lengths: Sequence[int]) -> list[SequenceGroup]:
    """Group adjacent sequences of equal length."""
    groups: list[SequenceGroup] = []
    start = 0
    for length in lengths:
        if groups and groups[-1].length == length:
            groups[-1] = SequenceGroup(groups[-1].start, groups[-1].count + 1, length)
        else:
            groups.append(SequenceGroup(start, 1, length))
        start += length
    return groups


class PackedLayout:
    """B sequences laid end to end: token tensors are (T, …).  No sequence is empty.

    The first `skip` tokens of each sequence (a prompt) take part in attention but not in pooling.
    """

    def __init__(self, lengths: Sequence[int], device: torch.device | str = "cpu", *, skip: int = 0) -> None:
        if not lengths or min(lengths) < 1:
            raise ValueError(f"lengths of packed sequences must be positive, not {list(lengths)}")
        self.lengths = list(lengths)
        self.longest = max(lengths)
        self.device = torch.device(device)
        self.skip = skip
        self.groups = group_sequences(self.lengths)

    @cached_property
    def sizes(self) -> Tensor:
        """Number of tokens of each sequence: (B,) int64."""
        return torch.tensor(self.lengths, device=self.device)

    @cached_property
    def offsets(self) -> Tensor:
        """Start of each sequence, and T at the end: (B + 1,) int64."""
        return torch.nn.functional.pad(self.sizes.cumsum(0), (1, 0))

    @cached_property
    def sequence(self) -> Tensor:
        """The sequence of each token: (T,)."""
        return torch.repeat_interleave(torch.arange(len(self.lengths), device=self.device), self.sizes)

    @cached_property
    def positions(self) -> Tensor:
        """The position of each token in its sequence, from 0: (T,)."""
        return torch.arange(sum(self.lengths), device=self.device) - self.offsets[self.sequence]

    @property
    def relative_positions(self) -> Tensor:
        """Positions whose differences are the distances within a text: (T,)."""
        return self.positions

    @cached_property
    def pooled(self) -> Tensor:
        """True for the tokens that count in pooling: (T,)."""
        return self.positions >= self.skip

    def sum(self, tokens: Tensor) -> Tensor:
        """Sum the tokens of each sequence, in float32: (T, D) → (B, D)."""
        return torch.segment_reduce(tokens.float(), "sum", lengths=self.sizes, axis=0)

    def max(self, tokens: Tensor) -> Tensor:
        """Take the largest value of each dimension in each sequence: (T, D) → (B, D)."""
        return torch.segment_reduce(tokens.float(), "max", lengths=self.sizes, axis=0)

    def take(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Take the token at `positions[b]` of each sequence b: (T, D), (B,) → (B, D)."""
        return tokens[self.offsets[:-1] + positions]


class RowLayout:
    """S texts in B rows of L tokens, one or more a row: token tensors are (B, L, …).

    texts: (B, L), the text of each token, -1 for none.  positions: (B, L), the position of each token in its text.
    spans: (S, 2), the start of each text, counted through all rows, and its number of tokens.  `skip` may be a tensor
    without dimensions, so that an exported graph takes it as an input.  keys: (B, L), the text whose tokens attend to a
    token; by default `texts`.
    """

    def __init__(
        self, texts: Tensor, positions: Tensor, spans: Tensor, *, skip: int | Tensor = 0, keys: Tensor | None = None
    ) -> None:
        self.texts = texts
        self.keys = texts if keys is None else keys
        self.positions = positions
        self.starts = spans[:, 0]
        self.sizes = spans[:, 1]
        self.skip = skip
        self.relative_positions = torch.arange(texts.shape[1], device=texts.device)  # (L,), in the row

    @cached_property
    def mask(self) -> Tensor:
        """0 for tokens of one text, or of none; -inf for others: (B, 1, L, L) float."""
        apart = self.texts[:, None, :, None] != self.keys[:, None, None, :]
        return torch.zeros(apart.shape, device=apart.device).masked_fill(apart, -torch.inf)

    @cached_property
    def pooled(self) -> Tensor:
        """True for the tokens that count in pooling: (B, L)."""
        return (self.texts >= 0) & (self.positions >= self.skip)

    def sum(self, tokens: Tensor) -> Tensor:
        """Sum the tokens of each text: (B, L, D) → (S, D)."""
        numbers = torch.arange(self.sizes.shape[0], device=tokens.device)
        return (numbers[:, None] == self.texts.flatten()).float() @ tokens.flatten(0, 1).float()

    def max(self, tokens: Tensor) -> Tensor:
        """Take the largest value of each dimension in each text: (B, L, D) → (S, D)."""
        last = torch.minimum(self.relative_positions, self.sizes[:, None] - 1).clamp(min=0)
        return tokens.flatten(0, 1)[self.starts[:, None] + last].float().amax(1)

    def take(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Take the token at `positions[s]` of each text s: (B, L, D), (S,) → (S, D)."""
        return tokens.flatten(0, 1)[self.starts + positions.clamp(min=0)]


Layout: TypeAlias = PackedLayout | RowLayout
