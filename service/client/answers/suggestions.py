"""Completions of a query."""

from __future__ import annotations

from pydantic import Field

from .base import Answer


class SuggestedTitleAnswer(Answer):
    """A document whose title has the words of the query."""

    id: str
    title: str


class SuggestAnswer(Answer):
    """Completions of a query."""

    words: list[str] = Field(description="Words that begin with the last one, frequent ones first.")
    titles: list[SuggestedTitleAnswer]
