"""Texts in rows, for tests of what looks across tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from retrieval.encoder.model.packing import Rows
from retrieval.encoder.token_batches import TokenBatch


def in_rows(lengths: Sequence[int], length: int, *, skip: int = 0, shared: bool) -> tuple[Rows, Tensor]:
    """The layout, and where each token of the packed texts stands, counted through all rows, (T,)."""
    made = TokenBatch.of([[0] * size for size in lengths], skip).rows(length, shared=shared)
    _, texts, positions, spans, _ = (torch.from_numpy(each).long() for each in made.inputs())
    to = torch.cat([torch.arange(start, start + size) for start, size in spans.tolist()])
    return Rows(texts, positions, spans, skip=skip), to
