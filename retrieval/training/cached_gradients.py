"""Gradients of a large batch in little memory (GradCache, Gao et al. 2021).

An objective over the vectors of a batch needs all vectors, but not all activations.  The texts are encoded in small
batches without gradients; the objective gives the gradient of each vector; then each small batch is encoded once more,
with the same dropout, and takes its vectors' gradients back to the weights.  The result is that of one large batch.
Texts that fit in one small batch are encoded once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from retrieval.training.trainable import TokenIds, TrainableEncoder, micro_batches

MICRO_BATCH_TOKENS = 4_096


def add_gradients(
    encoder: TrainableEncoder,
    texts: Sequence[TokenIds],
    objective: Callable[[Tensor], Tensor],
    *,
    budget_tokens: int = MICRO_BATCH_TOKENS,
) -> float:
    """Add the gradients of `objective` over the texts' vectors, and return its value.

    `objective` takes the vectors in the order of `texts`, (n, dimension).
    """
    batches = list(micro_batches(texts, budget_tokens))
    if len(batches) == 1:
        loss = objective(encoder(texts))
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())
    states: list[list[Tensor]] = []
    vectors = torch.empty(0)
    with torch.no_grad():
        for batch in batches:
            states.append(_random_state(encoder))
            found = encoder([texts[i] for i in batch])
            if not len(vectors):
                vectors = found.new_empty((len(texts), found.shape[1]))
            vectors[batch] = found
    after = _random_state(encoder)
    loss = objective(vectors.requires_grad_())
    loss.backward()  # type: ignore[no-untyped-call]
    assert vectors.grad is not None, "the objective does not depend on the vectors"
    for batch, state in zip(batches, states, strict=True):
        _restore(encoder, state)
        encoder([texts[i] for i in batch]).backward(vectors.grad[batch])
    _restore(encoder, after)
    return float(loss.detach())


def _random_state(encoder: TrainableEncoder) -> list[Tensor]:
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(encoder.device)] if encoder.device.type == "cuda" else states


def _restore(encoder: TrainableEncoder, states: Sequence[Tensor]) -> None:
    torch.set_rng_state(states[0])
    if len(states) > 1:
        torch.cuda.set_rng_state(states[1], encoder.device)
