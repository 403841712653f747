"""Distillation: a student learns the vectors of its teacher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from retrieval.training.cached_gradients import add_gradients
from retrieval.training.objectives import cosine_distillation
from retrieval.training.trainable import TokenIds, TrainableEncoder
from retrieval.types import Vectors


@dataclass(frozen=True, slots=True)
class TaughtBatch:
    """Texts as the student's token ids, and the teacher's vectors of length one."""

    texts: Sequence[TokenIds]  # n
    targets: Vectors  # (n, the student's dimension)


@dataclass(frozen=True, slots=True)
class Distillation:
    """The gradients of the distance between the vectors of student and teacher."""

    student: TrainableEncoder
    batch_of: Callable[[int], TaughtBatch]  # by the number of the step, the same each time
    bf16: bool = False

    def take_gradients(self, step: int) -> float:
        """Add the gradients of a step, and return the loss."""
        batch, student = self.batch_of(step), self.student
        targets = torch.from_numpy(batch.targets).to(student.device)
        with torch.autocast(student.device.type, torch.bfloat16, enabled=self.bf16):
            return add_gradients(student, batch.texts, lambda vectors: cosine_distillation(vectors, targets))


def principal_projection(vectors: Vectors, dimension: int) -> Tensor:
    """Return the linear map to `dimension` numbers that keeps inner products best.

    It has the first eigenvectors of the vectors' second moments as rows: (dimension, d), float32.
    """
    found = np.linalg.eigh(vectors.T.astype(np.float64) @ vectors)
    rows = found.eigenvectors[:, ::-1][:, :dimension].T
    signs = np.sign(rows[np.arange(dimension), np.abs(rows).argmax(1)])  # eigenvectors have no sign of their own
    return torch.from_numpy((rows * signs[:, None]).astype(np.float32))


def projected(vectors: Vectors, projection: Tensor) -> Vectors:
    """Return the projected vectors, of length one."""
    found = vectors @ projection.numpy().T
    return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12), dtype=np.float32)
