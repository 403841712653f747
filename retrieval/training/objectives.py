"""Objectives over vectors: what training makes smaller.

`q` are the vectors of queries, (n, dimension).  `p` are those of passages, (m, dimension): passage i, for i below n, is
the positive of query i; the others are hard negatives of any query.  Vectors have length one unless said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

Objective: TypeAlias = Callable[[Tensor, Tensor], Tensor]  # q, p → a loss without dimensions


def in_batch_softmax(q: Tensor, p: Tensor, excluded: Tensor, *, scale: float = 20.0) -> Tensor:
    """Cross-entropy of each query's positive among all passages of the batch.

    excluded: (n, m) bool, pairs that may be relevant, too, and count neither way.  `scale` multiplies the cosines; it
    is the inverse of the temperature (van den Oord et al. 2018).
    """
    scores = scale * (q @ p.T)
    own = torch.arange(len(q), device=q.device)
    scores = scores.masked_fill(excluded, -torch.inf)
    return F.cross_entropy(scores, own)


def cosine_distillation(student: Tensor, teacher: Tensor) -> Tensor:
    """Return one less the mean cosine of each text's two vectors: (n, dimension) each."""
    return 1 - (student * teacher).sum(-1).mean()


def matryoshka(objective: Objective, dimensions: Sequence[int]) -> Objective:
    """Apply the objective to shortened vectors, too (Kusupati et al. 2022).

    The parts are normalised again, and the losses are averaged.
    """

    def averaged(q: Tensor, p: Tensor) -> Tensor:
        losses = [objective(F.normalize(q[:, :n], dim=-1), F.normalize(p[:, :n], dim=-1)) for n in dimensions]
        return torch.stack([objective(q, p), *losses]).mean()

    return averaged
