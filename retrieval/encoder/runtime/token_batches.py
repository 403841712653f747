"""Batches of token ids with a limit of tokens, and their layout in rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

GRAPH_INPUTS = {"ids": 2, "texts": 2, "positions": 2, "spans": 2, "skip": 0}  # name → number of dimensions
PAIR_INPUTS = {**GRAPH_INPUTS, "types": 2}  # of a cross-encoder
TOKEN_INPUTS = {"ids": 2, "texts": 2, "positions": 2, "keys": 2}  # of a late-interaction model
HIDDEN = -2  # the key of a token that other tokens do not attend to
SIMD_TOKENS = 16  # a vector register of the processor holds so many
TOKENS_PER_PADDING = 10  # to fill whole vector registers, at most one token in so many is padding


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Token ids of B texts, end to end; pooling leaves out `skip` prompt tokens."""

    ids: NDArray[np.int32]  # (T,)
    lengths: tuple[int, ...]  # B, each at least 1
    skip: int = 0
    types: NDArray[np.int32] | None = None  # (T,), 0 in the first part of a pair and 1 in the second; None: no pairs

    @classmethod
    def of(
        cls, texts: Sequence[Sequence[int]], skip: int = 0, types: Sequence[Sequence[int]] | None = None
    ) -> TokenBatch:
        """Join the token ids of texts, and the types of the tokens of pairs."""
        lengths = tuple(map(len, texts))
        return cls(_joined(texts, lengths), lengths, skip, None if types is None else _joined(types, lengths))

    def rows(self, length: int, *, shared: bool = False) -> TokenRows:
        """Lay the texts in rows: one text a row, or as many as fit if `shared`."""
        if shared:
            count, starts = pack_rows(self.lengths, length)
        else:
            count, starts = len(self.lengths), np.arange(len(self.lengths)) * length
        return TokenRows.of(self, count, length, starts)


def _joined(texts: Sequence[Sequence[int]], lengths: Sequence[int]) -> NDArray[np.int32]:
    return np.fromiter((token for text in texts for token in text), dtype=np.int32, count=sum(lengths))


@dataclass(frozen=True, slots=True)
class TokenRows:
    """The inputs of a graph: ids, texts, positions, types (R, L), spans (B, 2), int32."""

    ids: NDArray[np.int32]
    texts: NDArray[np.int32]
    positions: NDArray[np.int32]
    spans: NDArray[np.int32]
    skip: int
    types: NDArray[np.int32] | None = None  # of pairs only

    @classmethod
    def of(cls, batch: TokenBatch, count: int, length: int, starts: NDArray[np.int64]) -> TokenRows:
        """Put text b of the batch at token `starts[b]`, counted through all `count` rows."""
        sizes = np.array(batch.lengths)
        text_positions = np.arange(len(batch.ids)) - np.repeat(sizes.cumsum() - sizes, sizes)
        targets = np.repeat(starts, sizes) + text_positions
        ids, texts, positions, types = tables = np.zeros((4, count * length), np.int32)
        texts[:] = -1
        ids[targets] = batch.ids
        texts[targets] = np.repeat(np.arange(len(sizes)), sizes)
        positions[targets] = text_positions
        if batch.types is not None:
            types[targets] = batch.types
        ids, texts, positions, types = tables.reshape(4, count, length)
        spans = np.stack((starts, sizes), 1).astype(np.int32)
        return cls(ids, texts, positions, spans, batch.skip, None if batch.types is None else types)

    def with_spans(self, step: int) -> TokenRows:
        """Append empty texts until the number of texts is a multiple of `step`."""
        missing = -len(self.spans) % step
        return replace(self, spans=np.concatenate((self.spans, np.zeros((missing, 2), np.int32))))

    def inputs(self) -> list[NDArray[np.int32]]:
        """Return the arrays in the order of GRAPH_INPUTS, for pairs of PAIR_INPUTS."""
        inputs = [self.ids, self.texts, self.positions, self.spans, np.array(self.skip, np.int32)]
        return inputs if self.types is None else [*inputs, self.types]


@dataclass(frozen=True, slots=True)
class TextTokens:
    """The token ids of a text; tokens attend to the first `attended` only."""

    ids: Sequence[int]
    attended: int


@dataclass(frozen=True, slots=True)
class TokenVectorRows:
    """The inputs of `TokenVectorGraph`, one text a row: (B, L) int32 each."""

    ids: NDArray[np.int32]
    texts: NDArray[np.int32]
    positions: NDArray[np.int32]
    keys: NDArray[np.int32]

    @classmethod
    def of(cls, texts: Sequence[TextTokens], length: int) -> TokenVectorRows:
        """Lay each text in a row of `length` tokens."""
        rows = TokenBatch.of([text.ids for text in texts]).rows(length)
        keys = rows.texts.copy()
        for row, text in enumerate(texts):
            keys[row, text.attended : len(text.ids)] = HIDDEN
        return cls(rows.ids, rows.texts, rows.positions, keys)

    def inputs(self) -> list[NDArray[np.int32]]:
        """Return the arrays in the order of the graph's inputs."""
        return [self.ids, self.texts, self.positions, self.keys]


def pack_rows(lengths: Sequence[int], length: int) -> tuple[int, NDArray[np.int64]]:
    """Pack texts into rows of `length` tokens by first fit, longest text first.

    Returns the number of rows and the start of each text, counted through all rows, (B,).
    """
    filled: list[int] = []
    starts = np.zeros(len(lengths), np.int64)
    for text in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        row = next((row for row, used in enumerate(filled) if used + lengths[text] <= length), len(filled))
        if row == len(filled):
            filled.append(0)
        starts[text] = row * length + filled[row]
        filled[row] += lengths[text]
    return len(filled), starts


def round_up(number: int, step: int) -> int:
    """Return the smallest multiple of `step` that is at least `number`."""
    return -(-number // step) * step


def row_length(longest: int) -> int:
    """Return the row length of a batch of many tokens, `longest` in its longest text.

    It is the next multiple of 16 if that adds little padding: a remainder of 16 costs attention more than as much
    padding does, and fewer row lengths mean fewer shapes.
    """
    whole = round_up(longest, SIMD_TOKENS)
    return whole if TOKENS_PER_PADDING * (whole - longest) <= whole else longest


def plan_batches(lengths: Sequence[int], budget_tokens: int) -> list[list[int]]:
    """Divide texts into batches of similar lengths: positions, longest texts first.

    The number of texts of a batch times its row length stays within `budget_tokens`, which bounds padding and memory.
    A single text above the budget is a batch of its own.
    """
    batches: list[list[int]] = []
    capacity = 0  # texts that the last batch can still take
    for position in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if capacity < 1:
            batches.append([])
            capacity = max(1, budget_tokens // row_length(lengths[position]))
        batches[-1].append(position)
        capacity -= 1
    return batches
