"""Encoders to train: tiny random ones, and texts."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from retrieval.encoder.checkpoint.model_folder import open_folder
from retrieval.training.trainable import TokenIds, TrainableEncoder
from tests.retrieval.encoder.conftest import MakeFolder, default_folder, make_folder

__all__ = ["default_folder", "make_folder"]

TEXTS = (
    "The liver stores glycogen.",
    "Insulin lowers blood glucose.",
    "A wing in a slipstream has more lift, as the wind tunnel shows.",
    "Bread needs flour and water.",
    "Yeast makes the dough rise for hours before it is baked in a hot oven.",
    "Comets have tails.",
)


@pytest.fixture
def tiny(make_folder: MakeFolder) -> TrainableEncoder:
    return TrainableEncoder(open_folder(make_folder()), dropout=0.1)


@pytest.fixture
def texts(tiny: TrainableEncoder) -> Sequence[TokenIds]:
    return tiny.passage_ids(TEXTS, 64)
