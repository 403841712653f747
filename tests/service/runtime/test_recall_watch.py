"""Recall of approximate search, watched on live queries."""

from __future__ import annotations

import time
from pathlib import Path

from indexer.building.document_changes import CollectionChange, apply_changes
from indexer.writing.writer import Writer
from retrieval.index.storage.settings import Canaries, CollectionSettings, VectorSettings
from retrieval.types import Document
from service.runtime.encoder_registry import EncoderRegistry
from tests.service.conftest import Serve

WORDS = [
    "apple",
    "boat",
    "cloud",
    "door",
    "engine",
    "forest",
    "glass",
    "harbour",
    "island",
    "jungle",
    "kettle",
    "lantern",
]


def build_approximate(path: Path, encoders: EncoderRegistry) -> None:
    """Build a collection whose vectors are searched through a small graph."""
    encoder = encoders.get("all-MiniLM-L6-v2")
    settings = CollectionSettings(
        encoder=encoder.fingerprint,
        runtime=encoder.runtime.name,
        precision=encoder.runtime.precision,
        canaries=Canaries(("a canary",), encoder.encode_passages(["a canary"])),
        vectors=VectorSettings(structure="HNSW16"),
    )
    with Writer(path, create=settings) as writer:
        writer.commit()
    texts = [f"{a} and {b} near the {c}" for a in WORDS for b in WORDS for c in WORDS[:8]]
    apply_changes(path, encoder, [CollectionChange(tuple(Document(str(n), text) for n, text in enumerate(texts)))])


def test_sampled_queries_are_repeated_exactly(tmp_path: Path, serve: Serve, encoders: EncoderRegistry) -> None:
    (tmp_path / "served").mkdir()
    build_approximate(tmp_path / "served" / "words", encoders)
    with serve(tmp_path / "served", recall_sample=1.0) as served:
        path = "/v1/collections/words"
        assert served.http.get(path).json()["recall"] is None
        deadline = time.monotonic() + 20
        while (recall := served.http.get(path).json()["recall"]) is None or recall["queries"] < 5:
            assert time.monotonic() < deadline
            served.http.post(f"{path}/search", json={"query": f"a boat {time.monotonic()}"})
        assert 0.5 < recall["ratio"] <= 1
        assert recall["low"] - 1e-9 <= recall["ratio"] <= recall["high"] + 1e-9
        metrics = served.http.get("/metrics").text
        assert 'attendex_ann_recall_ratio{bound="recall",collection="words"}' in metrics


def test_exact_collections_need_no_watching(collections: Path, serve: Serve) -> None:
    with serve(collections, recall_sample=1.0) as served:
        for number in range(5):
            served.http.post("/v1/collections/small/search", json={"query": f"cats {number}"})
        assert served.http.get("/v1/collections/small").json()["recall"] is None
