"""`--reranker`: a small random cross-encoder behind the rerank routes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from retrieval.encoder.checkpoint.hub import DEFAULT, locate
from retrieval.errors import UnsupportedCheckpoint
from retrieval.search.rerank import load_reranker
from tests.service.conftest import Serve

TEXTS = ["Cats sleep.", "A much longer text about heat that flows " * 60, "Wings", ""]


def save(folder: Path, labels: int = 1) -> Path:
    """Save a BERT of two small layers with the default encoder's tokenizer."""
    torch.manual_seed(0)
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(locate(DEFAULT)))
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = transformers.BertConfig(vocab_size=len(tokenizer), num_labels=labels, **shape)
    transformers.BertForSequenceClassification(config).save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("reranker"))


def test_scores_do_not_depend_on_the_batch(folder: Path) -> None:
    reranker = load_reranker(folder)
    together = reranker.score("sleepy cats", TEXTS)
    alone = [reranker.score("sleepy cats", [text])[0] for text in TEXTS]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert reranker.score("x", []).shape == (0,)


def test_the_routes_use_it(collections: Path, serve: Serve, folder: Path) -> None:
    expected = load_reranker(folder).score("sleepy cats", TEXTS)
    with serve(collections, reranker=str(folder)) as served:
        body = {"query": "sleepy cats", "texts": TEXTS}
        raw = served.http.post("/rerank", json={**body, "raw_scores": True}).json()
        np.testing.assert_allclose([each["score"] for each in raw], np.sort(expected)[::-1], atol=1e-5)
        assert [each["index"] for each in raw] == np.argsort(-expected).tolist()
        shown = served.http.post("/v2/rerank", json={"query": "sleepy cats", "documents": TEXTS}).json()["results"]
        probabilities = 1 / (1 + np.exp(-np.sort(expected)[::-1].astype(float)))
        np.testing.assert_allclose([each["relevance_score"] for each in shown], probabilities, atol=1e-5)


def test_what_is_no_cross_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedCheckpoint, match=r"config\.json"):
        load_reranker(tmp_path)
    with pytest.raises(UnsupportedCheckpoint, match="3 scores"):
        load_reranker(save(tmp_path / "three", labels=3))
    pickled = save(tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(UnsupportedCheckpoint, match="safetensors"):
        load_reranker(pickled)


def test_a_query_longer_than_the_encoder_reads_is_cut(folder: Path) -> None:
    reranker = load_reranker(folder)
    scores = reranker.score("sleepy cats " * 600, [*TEXTS, "a long text " * 600])
    assert np.isfinite(scores).all()
