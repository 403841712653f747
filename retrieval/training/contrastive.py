"""Contrastive training: queries come near their passages, and away from others."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retrieval.training.cached_gradients import add_gradients
from retrieval.training.objectives import in_batch_softmax, matryoshka
from retrieval.training.trainable import TokenIds, TrainableEncoder


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """Queries with their positives and hard negatives, as token ids."""

    queries: Sequence[TokenIds]  # n
    passages: Sequence[TokenIds]  # m ≥ n; passage i is the positive of query i
    excluded: NDArray[np.bool_]  # (n, m): pairs that may be relevant, too


@dataclass(frozen=True, slots=True)
class ContrastiveTraining:
    """The gradients of the softmax over the batch of a step."""

    encoder: TrainableEncoder
    batch_of: Callable[[int], TrainingBatch]  # by the number of the step, the same each time
    scale: float = 20.0  # of the cosines
    dimensions: tuple[int, ...] = ()  # shorter vectors that are trained, too
    bf16: bool = False  # products of matrices in bfloat16; weights and their changes stay in float32

    def take_gradients(self, step: int) -> float:
        """Add the gradients of a step, and return the loss."""
        batch, encoder = self.batch_of(step), self.encoder
        count = len(batch.queries)
        excluded = torch.from_numpy(batch.excluded).to(encoder.device)

        def softmax(q: Tensor, p: Tensor) -> Tensor:
            return in_batch_softmax(q, p, excluded, scale=self.scale)

        objective = matryoshka(softmax, self.dimensions) if self.dimensions else softmax
        with torch.autocast(encoder.device.type, torch.bfloat16, enabled=self.bf16):
            texts = [*batch.queries, *batch.passages]
            return add_gradients(encoder, texts, lambda vectors: objective(vectors[:count], vectors[count:]))

    def time_step(self) -> float:
        """Return the seconds that the first step's gradients take; the weights stay."""
        started = time.monotonic()
        self.encoder.train()
        self.take_gradients(0)
        self.encoder.zero_grad(set_to_none=True)
        return time.monotonic() - started
