"""Texts in rows, for tests of operations that look across tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from retrieval.encoder.model.packing import RowLayout
from retrieval.encoder.runtime.token_batches import TokenBatch


def in_rows(lengths: Sequence[int], length: int, *, skip: int = 0, shared: bool) -> tuple[RowLayout, Tensor]:
    """Return the layout, and the position of each packed token.

    Positions count through all rows, (T,).
    """
    inputs = TokenBatch.of([[0] * size for size in lengths], skip).rows(length, shared=shared).inputs()
    _, texts, positions, spans, _ = (torch.from_numpy(array).long() for array in inputs)
    targets = torch.cat([torch.arange(start, start + size) for start, size in spans.tolist()])
    return RowLayout(texts, positions, spans, skip=skip), targets
