"""`--reranker`: a small random cross-encoder behind the rerank routes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retrieval.encoder.cross_encoder import load_cross_encoder
from tests.retrieval.encoder.cross_encoders import save_cross_encoder
from tests.service.conftest import Serve

TEXTS = ["Cats sleep.", "A much longer text about heat that flows " * 60, "Wings", ""]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_cross_encoder(tmp_path_factory.mktemp("reranker"))


def test_the_routes_use_it(collections: Path, serve: Serve, folder: Path) -> None:
    expected = load_cross_encoder(folder).score("sleepy cats", TEXTS)
    with serve(collections, reranker=str(folder)) as served:
        body = {"query": "sleepy cats", "texts": TEXTS}
        raw = served.http.post("/rerank", json={**body, "raw_scores": True}).json()
        np.testing.assert_allclose([each["score"] for each in raw], np.sort(expected)[::-1], atol=1e-5)
        assert [each["index"] for each in raw] == np.argsort(-expected).tolist()
        shown = served.http.post("/v2/rerank", json={"query": "sleepy cats", "documents": TEXTS}).json()["results"]
        probabilities = 1 / (1 + np.exp(-np.sort(expected)[::-1].astype(float)))
        np.testing.assert_allclose([each["relevance_score"] for each in shown], probabilities, atol=1e-5)
