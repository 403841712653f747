"""Settings of lexical search on the wire, which `reindex` changes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from retrieval.bm25_options import BM25_RANGES, MAX_SEARCHED, MAX_STOP_WORD, MAX_STOP_WORDS
from service.schemas.base import Name, RequestBody, examples, items
from service.schemas.collections import FieldName

StopWord = Annotated[str, Field(min_length=1, max_length=MAX_STOP_WORD)]


def _parameter(name: str, description: str) -> Any:
    low, high = BM25_RANGES[name]
    return Field(default=None, ge=low, le=high, description=description)


class ReindexBody(RequestBody):
    """Settings to change; the others stay."""

    searched_fields: Annotated[dict[FieldName, float], items(MAX_SEARCHED)] | None = Field(
        default=None,
        description="Metadata fields, and `id`, whose words are searched, with weights; replaces all present ones.",
    )
    title_weight: float | None = _parameter("title_weight", "How many times a word in the title counts.")
    language: Name | None = Field(
        default=None, description="Snowball stemmer for the words, or `none`; several: `english,german`."
    )
    stop_words: Literal["language", "none"] | Annotated[list[StopWord], items(MAX_STOP_WORDS)] | None = Field(
        default=None, description="Words that queries leave out: those of the language, none, or a list."
    )
    k1: float | None = _parameter("k1", "BM25: how much further occurrences of a word count.")
    b: float | None = _parameter("b", "BM25: how much long passages are discounted.")

    model_config = examples(
        {"title_weight": 2}, {"searched_fields": {"brand": 2, "id": 1}, "language": "english,german"}
    )

    def changes(self) -> dict[str, Any]:
        """Return the settings that the request has, by their names in the collection."""
        given = {name: value for name, value in self if value is not None}
        if (fields := given.pop("searched_fields", None)) is not None:
            given["searched"] = tuple(fields.items())
        if isinstance(given.get("stop_words"), list):
            given["stop_words"] = tuple(given["stop_words"])
        return given
