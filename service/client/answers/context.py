"""Answers with passages and contexts; they mirror retrieval/search/answers/."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ..options import UnitName
from .base import Answer
from .collapse import CollapsedAnswer
from .explanations import ExplanationAnswer
from .search import ScoresAnswer, SearchAnswer


class RankedPassageAnswer(Answer):
    """A passage: the document's text from `start` to `end`, in code points."""

    rank: int
    document: str = Field(description="Id of the document.")
    start: int
    end: int
    text: str
    score: float
    scores: ScoresAnswer = ScoresAnswer()
    title: str
    location: str = ""
    page: int | None = Field(default=None, description="Number of the page, if the document has pages.")
    heading: str = ""
    source: str = Field(default="", description="Metadata field `source`, `url` or `path` of the document.")
    number: int = Field(default=1, description="Its number among the passages of the document, from 1.")
    previous: int | None = Field(default=None, description="Number of the passage before; null for the first.")
    next: int | None = Field(default=None, description="Number of the passage after; null for the last.")
    tokens: int | None = Field(default=None, description="Tokens of `text`.")
    before: str = Field(default="", description="Text before the passage, from `neighbours` passages.")
    after: str = Field(default="", description="Text after the passage, from `neighbours` passages.")
    highlights: list[tuple[int, int]] = Field(default_factory=list, description="Matching words: offsets in `text`.")
    metadata: dict[str, Any] = Field(default_factory=dict)
    collection: str | None = None
    collapsed: CollapsedAnswer | None = None
    explanation: ExplanationAnswer | None = None


class PassagesAnswer(Answer):
    """The passages, best first; `search` is the answer of the search without hits."""

    passages: list[RankedPassageAnswer]
    search: SearchAnswer


class CitedPassageAnswer(Answer):
    """A passage of the search, of which a citation shows the whole or a part."""

    number: int
    start: int
    end: int
    score: float
    scores: ScoresAnswer = ScoresAnswer()
    explanation: ExplanationAnswer | None = None


class CitationAnswer(Answer):
    """A text of the context: that of the document from `start` to `end`."""

    id: int = Field(description="Its number in the context, from 1: `[1]`.")
    document: str = Field(description="Id of the document.")
    start: int
    end: int
    text: str
    offset: int = Field(description="Where `text` begins in the text of the context.")
    tokens: int = Field(description="Size of `text` in `unit`.")
    title: str = ""
    location: str = ""
    page: int | None = Field(default=None, description="Number of the page at `start`, if the document has pages.")
    heading: str = ""
    source: str = Field(default="", description="Metadata field `source`, `url` or `path` of the document.")
    collection: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    highlights: list[tuple[int, int]] = Field(default_factory=list, description="Matching words: offsets in `text`.")
    passages: list[CitedPassageAnswer] = Field(default_factory=list)


class ContextAnswer(Answer):
    """The context of a query, and its citations in the order of the text."""

    text: str
    tokens: int = Field(description="Size of `text` in `unit`.")
    unit: UnitName
    citations: list[CitationAnswer]
    truncated: bool = Field(description="Whether the limit left out text of the passages found.")
    next_offset: int | None = Field(default=None, description="The offset of the search that goes on, if truncated.")
    search: SearchAnswer = Field(description="The answer of the search, without hits.")
