"""Recall of approximate search, watched on live queries."""

from __future__ import annotations

import time
from pathlib import Path

from indexer.pipeline import BuildSettings, build_collection
from retrieval.index.vector_plan import VectorSettings
from tests.service.conftest import Serve, write_documents

WORDS = "apple boat cloud door engine forest glass harbour island jungle kettle lantern".split()


def test_sampled_queries_are_repeated_exactly(tmp_path: Path, serve: Serve) -> None:
    texts = [f"{a} and {b} near the {c}" for a in WORDS for b in WORDS for c in WORDS[:4]]
    source = write_documents(tmp_path / "texts.jsonl", [{"id": str(n), "text": text} for n, text in enumerate(texts)])
    settings = BuildSettings(vectors=VectorSettings(structure="HNSW16"), lexical=None)
    build_collection([source], tmp_path / "served" / "words", settings)
    with serve(tmp_path / "served", recall_sample=1.0) as served:
        path = "/v1/collections/words"
        assert served.http.get(path).json()["recall"] is None
        deadline = time.monotonic() + 20
        while (recall := served.http.get(path).json()["recall"]) is None or recall["queries"] < 5:
            assert time.monotonic() < deadline
            served.http.post(f"{path}/search", json={"query": f"a boat {time.monotonic()}"})
        assert 0.5 < recall["ratio"] <= 1
        assert recall["low"] <= recall["ratio"] <= recall["high"]
        metrics = served.http.get("/metrics").text
        assert 'attendex_ann_recall_ratio{bound="recall",collection="words"}' in metrics


def test_exact_collections_need_no_watching(collections: Path, serve: Serve) -> None:
    with serve(collections, recall_sample=1.0) as served:
        for number in range(5):
            served.http.post("/v1/collections/small/search", json={"query": f"cats {number}"})
        assert served.http.get("/v1/collections/small").json()["recall"] is None
