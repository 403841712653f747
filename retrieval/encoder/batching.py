"""Which texts are run together: batches of similar lengths, bounded by tokens rather than by count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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

    def padded(self, length: int) -> NDArray[np.int32]:
        """(B, length), zeros after each text."""
        out = np.zeros((len(self.lengths), length), dtype=np.int32)
        out[np.arange(length) < np.array(self.lengths)[:, None]] = self.ids
        return out


def plan(lengths: Sequence[int], budget_tokens: int) -> list[list[int]]:
    """Positions of texts in batches, longest texts first, neighbours of similar length.

    A batch's count times its longest text stays within `budget_tokens`, so that padding it is cheap and its memory is
    bounded; a single text above the budget is a batch of its own.
    """
    batches: list[list[int]] = []
    room = 0
    for position in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if room < 1:
            batches.append([])
            room = max(1, budget_tokens // lengths[position])
        batches[-1].append(position)
        room -= 1
    return batches
