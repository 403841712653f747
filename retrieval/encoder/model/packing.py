"""How the tokens of a batch lie in memory: end to end without padding, or in rows of one length.

Everything of the encoder that looks across the tokens of a text (attention, positions, pooling) asks the layout; all
else works token by token and does not care.  `Packed` is the reference and what torch runs; `Rows` have shapes that
a graph compiler can follow, and are what is exported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring sequences of one length: `count` of them, `length` tokens each, from token `start`."""

    start: int
    count: int
    length: int

    @property
    def tokens(self) -> slice:
        return slice(self.start, self.start + self.count * self.length)


def runs_of(lengths: Sequence[int]) -> list[Run]:
    """Sequences laid end to end, joined to runs of equal length."""
    runs: list[Run] = []
    start = 0
    for length in lengths:
        if runs and runs[-1].length == length:
            runs[-1] = Run(runs[-1].start, runs[-1].count + 1, length)
        else:
            runs.append(Run(start, 1, length))
        start += length
    return runs


class Packed:
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
        self.runs = runs_of(self.lengths)

    @cached_property
    def sizes(self) -> Tensor:
        """(B,) int64"""
        return torch.tensor(self.lengths, device=self.device)

    @cached_property
    def offsets(self) -> Tensor:
        """(B + 1,) int64, where each sequence starts; the last is T."""
        return torch.nn.functional.pad(self.sizes.cumsum(0), (1, 0))

    @cached_property
    def sequence(self) -> Tensor:
        """(T,) the sequence that each token belongs to."""
        return torch.repeat_interleave(torch.arange(len(self.lengths), device=self.device), self.sizes)

    @cached_property
    def positions(self) -> Tensor:
        """(T,) each token's place in its sequence, from 0."""
        return torch.arange(sum(self.lengths), device=self.device) - self.offsets[self.sequence]

    @property
    def places(self) -> Tensor:
        """(T,) places whose distances are those in the texts."""
        return self.positions

    @cached_property
    def pooled(self) -> Tensor:
        """(T,) True where a token counts in pooling."""
        return self.positions >= self.skip

    def sum(self, tokens: Tensor) -> Tensor:
        """(T, D) → (B, D), sum over each sequence's tokens, kept in float32."""
        return torch.segment_reduce(tokens.float(), "sum", lengths=self.sizes, axis=0)

    def max(self, tokens: Tensor) -> Tensor:
        """(T, D) → (B, D), largest value of each dimension in each sequence."""
        return torch.segment_reduce(tokens.float(), "max", lengths=self.sizes, axis=0)

    def take(self, tokens: Tensor, places: Tensor) -> Tensor:
        """(T, D), (B,) → (B, D): the token at place `places[b]` of sequence b."""
        return tokens[self.offsets[:-1] + places]


class Rows:
    """S texts in B rows of L tokens, one or several in a row: token tensors are (B, L, …).

    texts: (B, L) which text a token belongs to, -1 for none; positions: (B, L) its place in that text; spans: (S, 2)
    where each text starts, counting through all rows, and its tokens.  `skip` may be a tensor without dimensions, so
    that an exported graph takes it as an input.
    """

    def __init__(self, texts: Tensor, positions: Tensor, spans: Tensor, *, skip: int | Tensor = 0) -> None:
        self.texts = texts
        self.positions = positions
        self.starts = spans[:, 0]
        self.sizes = spans[:, 1]
        self.skip = skip
        self.places = torch.arange(texts.shape[1], device=texts.device)  # (L,) in the row: distances are the texts'

    @cached_property
    def mask(self) -> Tensor:
        """(B, 1, L, L) float: 0 where two tokens are of one text, -inf elsewhere; those of no text see each other."""
        apart = self.texts[:, None, :, None] != self.texts[:, None, None, :]
        return torch.zeros(apart.shape, device=apart.device).masked_fill(apart, -torch.inf)

    @cached_property
    def pooled(self) -> Tensor:
        """(B, L) True where a token counts in pooling."""
        return (self.texts >= 0) & (self.positions >= self.skip)

    def sum(self, tokens: Tensor) -> Tensor:
        """(B, L, D) → (S, D), sum over each text's tokens."""
        numbers = torch.arange(self.sizes.shape[0], device=tokens.device)
        return (numbers[:, None] == self.texts.flatten()).float() @ tokens.flatten(0, 1).float()

    def max(self, tokens: Tensor) -> Tensor:
        """(B, L, D) → (S, D), largest value of each dimension in each text."""
        places = self.starts[:, None] + torch.minimum(self.places, self.sizes[:, None] - 1).clamp(min=0)
        return tokens.flatten(0, 1)[places].float().amax(1)

    def take(self, tokens: Tensor, places: Tensor) -> Tensor:
        """(B, L, D), (S,) → (S, D): the token at place `places[s]` of text s."""
        return tokens.flatten(0, 1)[self.starts + places.clamp(min=0)]


Layout: TypeAlias = Packed | Rows
