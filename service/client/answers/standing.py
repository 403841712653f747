"""Standing queries and their matches."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from ..options import ModeName
from .base import Answer


class WebhookAnswer(Answer):
    """The state of a webhook."""

    url: str
    delivered: int = Field(description="Number of the last match that the receiver has.")
    failures: int = Field(description="Attempts since the last success.")
    error: str = Field(description="Of the last attempt; empty after a success.")
    secret: str | None = Field(default=None, description="Key of the signatures; shown once, when it is made.")


class StandingAnswer(Answer):
    """A standing query."""

    name: str
    query: str
    filter: str
    mode: ModeName | None
    min_score: float | None
    created: datetime
    generation: int = Field(description="The last generation that was checked.")
    last: int = Field(description="Number of the last match; 0: none so far.")
    webhook: WebhookAnswer | None


class StandingListAnswer(Answer):
    """The standing queries of a collection, the oldest first."""

    standing: list[StandingAnswer]


class StandingMatchAnswer(Answer):
    """A new or changed document that the query matches."""

    number: int
    id: str
    score: float
    generation: int
    found: datetime


class StandingMatchesAnswer(Answer):
    """Matches in their order, each later than `after`."""

    matches: list[StandingMatchAnswer]
    last: int = Field(description="Number of the newest match; there are more to get if it is not among these.")
