"""Compare converted cross-encoders with sentence-transformers' CrossEncoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder as ReferenceCrossEncoder

from retrieval.encoder.cross_encoder import CrossEncoder, load_cross_encoder
from retrieval.encoder.runtime.openvino_runtime import OpenVINORuntime
from retrieval.errors import UnsupportedCheckpoint, WorkCancelled
from retrieval.util.work_budget import WorkBudget
from tests.retrieval.encoder.cross_encoders import FAMILIES, save_cross_encoder

QUERY = "sleepy cats in the afternoon"
TEXTS = [
    "Cats sleep.",
    "A much longer text about heat that flows " * 60,
    "Wings",
    "",
    "Zürich, naïve — 猫",
    "cat " * 70,
]


def expected(folder: Path, query: str = QUERY) -> np.ndarray[Any, Any]:
    pairs = [(query, text) for text in TEXTS]
    return ReferenceCrossEncoder(str(folder)).predict(pairs, activation_fn=torch.nn.Identity())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_cross_encoder(tmp_path_factory.mktemp("reranker"))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("query", [QUERY, "sleepy cats " * 600], ids=["short", "long"])
def test_scores_equal_sentence_transformers(family: str, query: str, tmp_path: Path) -> None:
    folder = save_cross_encoder(tmp_path, family)
    reranker = load_cross_encoder(folder, runtime="openvino", precision="f32")
    assert isinstance(reranker, CrossEncoder)
    assert isinstance(reranker.runtime, OpenVINORuntime)
    np.testing.assert_allclose(reranker.score(query, TEXTS), expected(folder, query), atol=1e-3)


def test_a_folder_of_sentence_transformers_is_read(folder: Path, tmp_path: Path) -> None:
    ReferenceCrossEncoder(str(folder)).save_pretrained(str(tmp_path))
    reranker = load_cross_encoder(tmp_path, precision="f32")
    np.testing.assert_allclose(reranker.score(QUERY, TEXTS), expected(folder), atol=1e-3)


def test_the_query_is_told_from_the_text(folder: Path) -> None:
    reranker = load_cross_encoder(folder, precision="f32")
    assert abs(reranker.score("cats", ["heat"])[0] - reranker.score("heat", ["cats"])[0]) > 1e-3


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_scores_do_not_depend_on_the_batch(folder: Path, precision: str) -> None:
    reranker = load_cross_encoder(folder, precision=precision)
    many = TEXTS * 50  # several windows and batches
    together = reranker.score(QUERY, many)
    alone = [reranker.score(QUERY, [text])[0] for text in TEXTS]
    np.testing.assert_allclose(together, alone * 50, atol=1e-5 if precision == "f32" else 0.05)
    assert reranker.score("x", []).shape == (0,)


def test_cancelled_work_ends(folder: Path) -> None:
    reranker = load_cross_encoder(folder)
    with WorkBudget(is_cancelled=lambda: True).applied(), pytest.raises(WorkCancelled):
        reranker.score(QUERY, TEXTS)


def test_what_is_no_cross_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedCheckpoint, match=r"config\.json"):
        load_cross_encoder(tmp_path)
    with pytest.raises(UnsupportedCheckpoint, match="3 scores"):
        load_cross_encoder(save_cross_encoder(tmp_path / "three", num_labels=3))
    with pytest.raises(UnsupportedCheckpoint, match="tokenizer has ids up to"):
        load_cross_encoder(save_cross_encoder(tmp_path / "small", vocab_size=1_000))
    prompted = save_cross_encoder(tmp_path / "prompted")
    (prompted / "config_sentence_transformers.json").write_text('{"default_prompt_name": "query"}')
    with pytest.raises(UnsupportedCheckpoint, match="default_prompt_name"):
        load_cross_encoder(prompted)
    pickled = save_cross_encoder(tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(UnsupportedCheckpoint, match="safetensors"):
        load_cross_encoder(pickled)
