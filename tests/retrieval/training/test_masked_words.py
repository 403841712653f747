"""Hidden words are hidden as often as they should be, and are learnt."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from retrieval.errors import EncoderError
from retrieval.training.masked_words import IGNORED, MaskedWords
from retrieval.training.optimizer import OptimizerSettings, make_optimizer, take_step
from retrieval.training.trainable import TokenIds, TrainableEncoder

MASK_ID, SPECIAL_IDS = 103, frozenset({0, 100, 101, 102, 103})  # of BERT's vocabulary


@pytest.fixture
def words(tiny: TrainableEncoder, texts: Sequence[TokenIds]) -> MaskedWords:
    return MaskedWords(tiny, lambda _: texts, MASK_ID, SPECIAL_IDS)


def test_about_a_seventh_is_hidden_and_special_tokens_never(words: MaskedWords) -> None:
    torch.manual_seed(0)
    ids = torch.randint(1000, 20_000, (20_000,))
    ids[::10] = 101
    shown, targets = words._hide(ids)
    guessed = targets != IGNORED
    assert float(guessed.float().mean()) == pytest.approx(0.15 * 0.9, abs=0.01)
    assert not guessed[::10].any()
    assert torch.equal(targets[guessed], ids[guessed])
    assert torch.equal(shown[~guessed], ids[~guessed])
    assert float((shown[guessed] == MASK_ID).float().mean()) == pytest.approx(0.8, abs=0.03)
    assert float((shown[guessed] == ids[guessed]).float().mean()) == pytest.approx(0.1, abs=0.03)


def test_a_text_of_special_tokens_alone_is_refused(words: MaskedWords) -> None:
    with pytest.raises(EncoderError, match="could be hidden"):
        words.loss([[101, 102]])


def test_training_lowers_the_loss(words: MaskedWords, texts: Sequence[TokenIds]) -> None:
    encoder = words.encoder.eval()
    optimizer = make_optimizer(encoder, OptimizerSettings(rate=2e-3))
    before = words.held_out_loss(texts)
    for step in range(30):
        torch.manual_seed(step)
        words.take_gradients(step)
        take_step(encoder, optimizer, 1.0, 1.0)
    assert words.held_out_loss(texts) < 0.8 * before
