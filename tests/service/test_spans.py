"""Cohere's relevant spans: parts of the documents that answer the query."""

from __future__ import annotations

from pathlib import Path
from typing import Any

DOCUMENT = "It rained all day. Aspirin lowers the risk of stroke. Cats sleep at night."


def test_relevant_spans_of_rerank(serve: Any, collections: Path) -> None:
    with serve(collections) as served:
        body = {"query": "does aspirin prevent strokes", "documents": [DOCUMENT, "Nothing here."]}
        wanted = {"mode": "enabled", "threshold": 0.2, "max_spans": 1}
        answer = served.http.post("/v2/rerank", json={**body, "relevant_spans": wanted}).json()
        best = answer["results"][0]
        (span,) = best["relevant_spans"]
        assert best["index"] == 0
        assert "Aspirin" in DOCUMENT[span["start"] : span["end"]]
        assert 0.2 <= span["score"] <= 1
        plain = served.http.post("/v2/rerank", json=body).json()
        assert all("relevant_spans" not in each for each in plain["results"])
