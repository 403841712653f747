"""Cohere's rerank (v1 and v2) and infinity's on the wire; TEI's shares their route."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from service.schemas.base import Answer, LenientRequestBody, WholeNumber, examples


class RelevantSpansOptions(LenientRequestBody):
    """Cohere: mark the parts of a document that answer the query."""

    mode: Literal["enabled", "disabled"] = "disabled"
    threshold: float = Field(default=0.1, ge=0, le=1)
    max_spans: WholeNumber | None = Field(default=None, ge=1, le=1_000)


class DocumentText(Answer):
    """A document given as an object, or repeated in an answer."""

    text: str


class RerankBody(LenientRequestBody):
    """Documents to order by how well they answer the query."""

    query: str = Field(min_length=1)
    documents: list[str | DocumentText] = Field(
        min_length=1, description="Texts, or objects with a field `text`, as Cohere's first version had them."
    )
    model: str = Field(default="", description="Ignored: the service has one reranker.")
    top_n: WholeNumber | None = Field(default=None, ge=1, le=100_000, description="Only the best so many.")
    return_documents: bool = Field(default=False, description="Repeat the texts in the answer.")
    raw_scores: bool = Field(default=False, description="Scores as the model gives them, not brought to 0 … 1.")
    max_tokens_per_doc: WholeNumber | None = Field(
        default=None, ge=1, le=1_000_000, description="Ignored beyond the limit."
    )
    priority: WholeNumber | None = Field(default=None, ge=-1_000, le=1_000, description="Ignored.")
    relevant_spans: RelevantSpansOptions | None = None

    model_config = examples({"query": "what do cats eat", "documents": ["Cats eat mice.", "Wings lift."], "top_n": 1})

    def texts(self) -> tuple[str, ...]:
        """The documents as texts."""
        return tuple(each if isinstance(each, str) else each.text for each in self.documents)


class TextsBody(LenientRequestBody):
    """The same as TEI's clients send it."""

    query: str = Field(min_length=1)
    texts: list[str] = Field(min_length=1)
    truncate: bool | None = None
    truncation_direction: Literal["Left", "Right", "left", "right"] = "right"
    raw_scores: bool = False
    return_text: bool = False

    model_config = examples({"query": "what do cats eat", "texts": ["Cats eat mice.", "Wings lift."]})


class RelevantSpanAnswer(Answer):
    """A part of a document that answers the query, in code points."""

    start: int
    end: int
    score: float


class CohereResult(Answer):
    """One document of Cohere's answer."""

    index: int
    relevance_score: float
    document: DocumentText | None = None
    relevant_spans: list[RelevantSpanAnswer] | None = None


class CohereAnswer(Answer):
    """Documents, best first."""

    id: str
    results: list[CohereResult]
    meta: dict[str, Any]


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
