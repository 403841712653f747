"""BM25's parameters on the wire, as in retrieval/bm25_options.py."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from retrieval.bm25_options import BM25_RANGES, Bm25Options
from service.schemas.base import RequestBody, examples


def _parameter(name: str, description: str) -> Any:
    low, high = BM25_RANGES[name]
    return Field(default=None, ge=low, le=high, description=description)


_K1 = "How much further occurrences of a term count."
_B = "How much long passages are discounted."
_TITLE_WEIGHT = "How many times a word in the title counts."
_SHORT = "Average length in terms below which lengths hardly count; 0: none."


class Bm25Body(RequestBody):
    """BM25's parameters for one search; default: those of the collection."""

    k1: float | None = _parameter("k1", _K1)
    b: float | None = _parameter("b", _B)
    short: float | None = _parameter("short", _SHORT)
    title_weight: float | None = _parameter("title_weight", _TITLE_WEIGHT)

    model_config = examples({"k1": 0.9, "b": 0.4})


class BodyBm25(BaseModel):
    """BM25's parameters in a body."""

    bm25: Bm25Body | None = Field(default=None, description="BM25's parameters; default: those of the collection.")

    def bm25_options(self) -> Bm25Options | None:
        """Return the searcher's record; None if all are those of the collection."""
        return None if self.bm25 is None else Bm25Options(**self.bm25.model_dump())


class UrlBm25(BaseModel):
    """BM25's parameters in URL parameters."""

    bm25_k1: float | None = _parameter("k1", _K1)
    bm25_b: float | None = _parameter("b", _B)
    bm25_short: float | None = _parameter("short", _SHORT)
    bm25_title_weight: float | None = _parameter("title_weight", _TITLE_WEIGHT)

    def bm25_options(self) -> Bm25Options | None:
        """Return the searcher's record; None if all are those of the collection."""
        options = Bm25Options(self.bm25_k1, self.bm25_b, self.bm25_short, self.bm25_title_weight)
        return options if options.given else None
