"""BM25's parameters on the wire, as in retrieval/bm25_options.py."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from retrieval.bm25_options import BM25_RANGES
from service.schemas.base import RequestBody, examples


def _parameter(name: str, description: str) -> Any:
    low, high = BM25_RANGES[name]
    return Field(default=None, ge=low, le=high, description=description)


class Bm25Body(RequestBody):
    """BM25's parameters for one search; default: those of the collection."""

    k1: float | None = _parameter("k1", "How much further occurrences of a term count.")
    b: float | None = _parameter("b", "How much long passages are discounted.")
    short: float | None = _parameter("short", "Average length in terms below which lengths hardly count; 0: none.")

    model_config = examples({"k1": 0.9, "b": 0.4})
