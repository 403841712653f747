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


def margin_distillation(q: Tensor, p: Tensor, margins: Tensor, negatives: Tensor) -> Tensor:
    """Mean square of margin minus the teacher's (Hofstätter et al. 2020).

    negatives: (n,), the row in `p` of one negative of each query; margins: (n,), the teacher's score of the positive
    minus that of the negative, on the scale of cosines.
    """
    own = (q * p[: len(q)]).sum(1) - (q * p[negatives]).sum(1)
    return F.mse_loss(own, margins)


def vector_distillation(own: Tensor, teacher: Tensor) -> Tensor:
    """Mean cosine distance to a teacher's vectors of the same texts."""
    return 1.0 - F.cosine_similarity(own, teacher).mean()


def score_distillation(own: Tensor, teacher: Tensor) -> Tensor:
    """Mean square of the cosines between the texts of a batch minus the teacher's.

    own: (n, a), teacher: (n, b): the two widths may differ, as those of a smaller student do.
    """
    return F.mse_loss(own @ own.T, teacher @ teacher.T)


def matryoshka(objective: Objective, dimensions: Sequence[int]) -> Objective:
    """Apply the objective to shortened vectors, too (Kusupati et al. 2022).

    The parts are normalised again, and the losses are averaged.
    """

    def averaged(q: Tensor, p: Tensor) -> Tensor:
        losses = [objective(F.normalize(q[:, :n], dim=-1), F.normalize(p[:, :n], dim=-1)) for n in dimensions]
        return torch.stack([objective(q, p), *losses]).mean()

    return averaged
