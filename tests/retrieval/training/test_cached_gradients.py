"""The gradients of small batches add up to those of one large batch."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from retrieval.training.cached_gradients import add_gradients
from retrieval.training.objectives import in_batch_softmax
from retrieval.training.trainable import TokenIds, TrainableEncoder, micro_batches


def objective(vectors: Tensor) -> Tensor:
    return in_batch_softmax(vectors[:3], vectors[3:], torch.zeros(3, 3, dtype=torch.bool))


def gradients(encoder: TrainableEncoder) -> dict[str, Tensor]:
    return {name: each.grad.clone() for name, each in encoder.named_parameters() if each.grad is not None}


@pytest.mark.parametrize("budget", [10, 30, 10_000])
def test_small_batches_give_the_gradients_of_one(
    tiny: TrainableEncoder, texts: Sequence[TokenIds], budget: int
) -> None:
    tiny.eval()  # without dropout, whose chance would differ
    loss = objective(tiny(texts))
    loss.backward()  # type: ignore[no-untyped-call]
    expected = gradients(tiny)
    tiny.zero_grad(set_to_none=True)
    assert add_gradients(tiny, texts, objective, budget_tokens=budget) == pytest.approx(loss.item(), abs=1e-5)
    found = gradients(tiny)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=2e-5, rtol=1e-3, msg=name)


def test_both_passes_drop_out_the_same(tiny: TrainableEncoder, texts: Sequence[TokenIds]) -> None:
    tiny.train()
    torch.manual_seed(5)
    first = add_gradients(tiny, texts, objective, budget_tokens=30)
    found = gradients(tiny)
    tiny.zero_grad(set_to_none=True)
    torch.manual_seed(5)
    assert add_gradients(tiny, texts, objective, budget_tokens=30) == first
    assert all(torch.equal(value, found[name]) for name, value in gradients(tiny).items())
    tiny.zero_grad(set_to_none=True)
    torch.manual_seed(6)
    assert add_gradients(tiny, texts, objective, budget_tokens=30) != first


def test_micro_batches_take_every_text_once_and_keep_the_budget(texts: Sequence[TokenIds]) -> None:
    batches = list(micro_batches(texts, 30))
    assert sorted(position for batch in batches for position in batch) == list(range(len(texts)))
    for batch in batches:
        assert len(batch) == 1 or sum(len(texts[i]) for i in batch) <= 30
    assert len(list(micro_batches(texts, sum(map(len, texts))))) == 1  # padding takes no memory
