"""Compare poolings and projections with those of sentence-transformers."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from sentence_transformers.sentence_transformer.modules import Pooling

from retrieval.encoder.model.model_shape import DenseShape, HeadShape
from retrieval.encoder.model.packing import PackedLayout
from retrieval.encoder.model.pooling import POOLINGS, PoolingHead
from tests.retrieval.encoder.rows import in_rows

LENGTHS = (4, 9, 5, 4)
CHOICES = [(name,) for name in POOLINGS] + list(combinations(POOLINGS, 2))


def states() -> tuple[torch.Tensor, torch.Tensor]:
    """Draw hidden states: packed (T, 6) and padded (B, L, 6)."""
    packed = torch.randn(sum(LENGTHS), 6, generator=torch.Generator().manual_seed(0))
    return packed, torch.nn.utils.rnn.pad_sequence(packed.split(LENGTHS), batch_first=True, padding_value=9.0)


@pytest.mark.parametrize("skip", [0, 2])
@pytest.mark.parametrize("poolings", CHOICES, ids="+".join)
def test_poolings_equal_sentence_transformers(poolings: tuple[str, ...], skip: int) -> None:
    packed, padded = states()
    sizes = torch.tensor(LENGTHS)
    mask = (torch.arange(max(LENGTHS)) < sizes[:, None]).long()
    theirs = Pooling(6, poolings, include_prompt=skip == 0)
    features = {"token_embeddings": padded, "attention_mask": mask, "prompt_length": skip}
    expected = theirs(features)["sentence_embedding"]
    head = PoolingHead(HeadShape(poolings, normalize=False))
    torch.testing.assert_close(head(packed, PackedLayout(LENGTHS, skip=skip)), expected, atol=2e-6, rtol=0)
    for length, shared in ((max(LENGTHS), False), (14, True)):
        rows, targets = in_rows(LENGTHS, length, skip=skip, shared=shared)
        spread = torch.full((rows.texts.numel(), 6), 9.0).index_copy(0, targets, packed).unflatten(0, rows.texts.shape)
        torch.testing.assert_close(head(spread, rows), expected, atol=2e-6, rtol=0)


def test_vectors_are_truncated_and_then_normalised() -> None:
    packed, _ = states()
    whole = PoolingHead(HeadShape(("mean",), normalize=False))(packed, PackedLayout(LENGTHS))
    cut = PoolingHead(HeadShape(("mean",), truncate=4))(packed, PackedLayout(LENGTHS))
    torch.testing.assert_close(cut, torch.nn.functional.normalize(whole[:, :4]))


def test_a_dense_may_have_a_residual() -> None:
    head = PoolingHead(HeadShape(("cls",), dense=(DenseShape(6, 6, "Tanh", residual=True),), normalize=False))
    packed, _ = states()
    first = packed[torch.tensor([0, 4, 13, 18])]
    torch.testing.assert_close(head(packed, PackedLayout(LENGTHS)), first + torch.tanh(head.dense[0].linear(first)))
