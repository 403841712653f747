"""Searches and clicks in the query log."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from .base import Answer


class LoggedQueryAnswer(Answer):
    """The searches with one query, in any case and spacing."""

    query: str
    last: datetime = Field(description="Time of the last search.")
    searches: int
    zero_hits: int = Field(description="Searches without a hit.")
    low_confidence: int = Field(description="Searches whose best hit was not close to the query.")
    clicks: int


class LoggedQueriesAnswer(Answer):
    """Queries, the most frequent first, and the numbers of all searches."""

    queries: list[LoggedQueryAnswer]
    searches: int
    zero_hits: int
    low_confidence: int
    clicks: int
