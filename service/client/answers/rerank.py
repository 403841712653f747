"""Reranked documents, as Cohere answers."""

from __future__ import annotations

from typing import Any

from .base import Answer


class RerankedDocument(Answer):
    """The document of a result, if the request asks for it."""

    text: str


class RelevantSpanAnswer(Answer):
    """A part of a document that answers the query, in code points."""

    start: int
    end: int
    score: float


class CohereResult(Answer):
    """One document of Cohere's answer."""

    index: int
    relevance_score: float
    document: RerankedDocument | None = None
    relevant_spans: list[RelevantSpanAnswer] | None = None


class CohereAnswer(Answer):
    """Documents, best first."""

    id: str
    results: list[CohereResult]
    meta: dict[str, Any]
