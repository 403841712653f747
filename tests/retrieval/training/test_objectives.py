"""Objectives by hand-made vectors."""

from __future__ import annotations

import math

import pytest
import torch

from retrieval.training.objectives import in_batch_softmax, matryoshka

EYE = torch.eye(3)
NONE = torch.zeros(3, 3, dtype=torch.bool)


def test_softmax_of_orthogonal_vectors() -> None:
    expected = math.log(math.exp(2) + 2) - 2  # own cosine 1, two others 0, scale 2
    assert float(in_batch_softmax(EYE, EYE, NONE, scale=2.0)) == pytest.approx(expected)


def test_excluded_pairs_count_neither_way() -> None:
    excluded = NONE.clone()
    excluded[0, 1] = excluded[0, 2] = True
    rows = [in_batch_softmax(EYE[[i]], EYE.roll(-i, 0), torch.zeros(1, 3, dtype=torch.bool)) for i in range(3)]
    assert float(in_batch_softmax(EYE, EYE, excluded)) == pytest.approx(float((rows[1] + rows[2]) / 3))


def test_hard_negatives_raise_the_loss() -> None:
    with_negative = torch.cat([EYE, EYE[:1]])
    plain = in_batch_softmax(EYE, EYE, NONE)
    assert in_batch_softmax(EYE, with_negative, torch.zeros(3, 4, dtype=torch.bool)) > plain


def test_matryoshka_averages_whole_and_shortened_vectors() -> None:
    def first_cosine(q: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        return (q[0] * p[0]).sum()

    q, p = torch.tensor([[0.6, 0.8]]), torch.tensor([[1.0, 0.0]])
    assert float(matryoshka(first_cosine, [1])(q, p)) == pytest.approx((0.6 + 1.0) / 2)
