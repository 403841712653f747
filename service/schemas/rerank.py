"""Rerank requests of Cohere (v1 and v2), infinity and TEI on the wire."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from service.client.answers.base import Answer
from service.schemas.base import MAX_TEXTS, LenientRequestBody, Name, Text, Texts, WholeNumber, examples, items
from service.schemas.tei import Direction


class RelevantSpansOptions(LenientRequestBody):
    """Cohere's option to mark the relevant parts of a document."""

    mode: Literal["enabled", "disabled"] = "disabled"
    threshold: float = Field(default=0.1, ge=0, le=1)
    max_spans: WholeNumber | None = Field(default=None, ge=1, le=1_000)


class RerankDocument(LenientRequestBody):
    """A document as an object."""

    text: Text


class RerankBody(LenientRequestBody):
    """Documents to rank for a query."""

    query: Text = Field(min_length=1)
    documents: Annotated[list[Text | RerankDocument], items(MAX_TEXTS)] = Field(
        min_length=1, description="Texts, or objects with a field `text` as in version 1 of Cohere's API."
    )
    model: Name = Field(default="", description="Name of a reranker; ignored by a service without rerankers.")
    top_n: WholeNumber | None = Field(default=None, ge=1, le=100_000, description="Documents to return; default: all.")
    return_documents: bool = Field(default=False, description="Repeat the texts in the answer.")
    raw_scores: bool = Field(default=False, description="Return the scores of the model, not scaled to 0 … 1.")
    max_tokens_per_doc: WholeNumber | None = Field(default=None, ge=1, le=1_000_000, description="Ignored.")
    priority: WholeNumber | None = Field(default=None, ge=-1_000, le=1_000, description="Ignored.")
    relevant_spans: RelevantSpansOptions | None = None

    model_config = examples({"query": "what do cats eat", "documents": ["Cats eat mice.", "Wings lift."], "top_n": 1})

    def texts(self) -> tuple[str, ...]:
        return tuple(document if isinstance(document, str) else document.text for document in self.documents)


class TextsBody(LenientRequestBody):
    """Texts to rank for a query, in TEI's form."""

    query: Text = Field(min_length=1)
    texts: Texts = Field(min_length=1)
    truncate: bool | None = None
    truncation_direction: Direction = "right"
    raw_scores: bool = False
    return_text: bool = False

    model_config = examples({"query": "what do cats eat", "texts": ["Cats eat mice.", "Wings lift."]})


class InfinityResult(Answer):
    """One document of infinity's answer."""

    index: int
    relevance_score: float
    document: str | None = None


class InfinityAnswer(Answer):
    """Documents, best first."""

    object: Literal["rerank"] = "rerank"
    results: list[InfinityResult]
    model: str
    usage: dict[str, int]
    id: str
    created: int
