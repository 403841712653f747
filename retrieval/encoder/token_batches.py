"""Which texts are run together: batches of similar lengths, bounded by tokens rather than by count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

GRAPH_INPUTS = {"ids": 2, "texts": 2, "positions": 2, "spans": 2, "skip": 0}  # and how many dimensions they have
WHOLE_TOKENS = 16  # that the processor's vectors take at once
PADDING = 10  # one token of so many may be padding for the sake of whole vectors


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Token ids of B texts, end to end.  The first `skip` tokens of each are a prompt that pooling leaves out."""

    ids: NDArray[np.int32]  # (T,)
    lengths: tuple[int, ...]  # B, each at least 1
    skip: int = 0

    @classmethod
    def of(cls, texts: Sequence[Sequence[int]], skip: int = 0) -> TokenBatch:
        """Join the ids of texts."""
        lengths = tuple(map(len, texts))
        ids = np.fromiter((token for text in texts for token in text), dtype=np.int32, count=sum(lengths))
        return cls(ids, lengths, skip)

    def rows(self, length: int, *, shared: bool = False) -> TokenRows:
        """In rows of `length` tokens, a text a row; or, `shared`, as many in a row as fit."""
        count, starts = shared_rows(self.lengths, length) if shared else (len(self.lengths), _own_rows(self, length))
        return TokenRows.of(self, count, length, starts)


@dataclass(frozen=True, slots=True)
class TokenRows:
    """A batch as graphs take it (`layout.Rows`): ids, texts and positions (R, L), spans (B, 2), all int32."""

    ids: NDArray[np.int32]
    texts: NDArray[np.int32]
    positions: NDArray[np.int32]
    spans: NDArray[np.int32]
    skip: int

    @classmethod
    def of(cls, batch: TokenBatch, count: int, length: int, starts: NDArray[np.int64]) -> TokenRows:
        """Text b of the batch stands from token `starts[b]` on, counted through all `count` rows."""
        sizes = np.array(batch.lengths)
        positions = np.arange(len(batch.ids)) - np.repeat(sizes.cumsum() - sizes, sizes)
        to = np.repeat(starts, sizes) + positions
        ids, texts, places = tables = np.zeros((3, count * length), np.int32)
        texts[:] = -1
        ids[to] = batch.ids
        texts[to] = np.repeat(np.arange(len(sizes)), sizes)
        places[to] = positions
        ids, texts, places = tables.reshape(3, count, length)
        return cls(ids, texts, places, np.stack((starts, sizes), 1).astype(np.int32), batch.skip)

    def with_spans(self, step: int) -> TokenRows:
        """The same with empty texts at the end, so that their number is a multiple of `step`."""
        missing = -len(self.spans) % step
        return replace(self, spans=np.concatenate((self.spans, np.zeros((missing, 2), np.int32))))

    def inputs(self) -> list[NDArray[np.int32]]:
        """In the order of GRAPH_INPUTS."""
        return [self.ids, self.texts, self.positions, self.spans, np.array(self.skip, np.int32)]


def _own_rows(batch: TokenBatch, length: int) -> NDArray[np.int64]:
    return np.arange(len(batch.lengths)) * length


def shared_rows(lengths: Sequence[int], length: int) -> tuple[int, NDArray[np.int64]]:
    """How many rows of `length` tokens hold texts of `lengths`, and where each starts: first fit, longest first."""
    filled: list[int] = []
    starts = np.zeros(len(lengths), np.int64)
    for text in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        row = next((row for row, used in enumerate(filled) if used + lengths[text] <= length), len(filled))
        if row == len(filled):
            filled.append(0)
        starts[text] = row * length + filled[row]
        filled[row] += lengths[text]
    return len(filled), starts


def rounded_up(number: int, step: int) -> int:
    """The next multiple of `step`."""
    return -(-number // step) * step


def row_length(longest: int) -> int:
    """Of a batch of many tokens whose longest text this is: up to a multiple of 16 tokens where that is near.

    What is left over of 16 costs attention more than as much padding; and rows of few lengths are of few shapes.
    """
    whole = rounded_up(longest, WHOLE_TOKENS)
    return whole if PADDING * (whole - longest) <= whole else longest


def plan(lengths: Sequence[int], budget_tokens: int) -> list[list[int]]:
    """Positions of texts in batches, longest texts first, neighbours of similar length.

    A batch's count times the length of its rows stays within `budget_tokens`, so that padding it is cheap and its
    memory is bounded; a single text above the budget is a batch of its own.
    """
    batches: list[list[int]] = []
    room = 0
    for position in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if room < 1:
            batches.append([])
            room = max(1, budget_tokens // row_length(lengths[position]))
        batches[-1].append(position)
        room -= 1
    return batches
