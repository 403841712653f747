"""Standing queries on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from service.schemas.base import Answer, RequestBody, Text, UrlParameters, examples
from service.schemas.search import ModeName, SearchText


class WebhookBody(RequestBody):
    """Where to send matches."""

    url: Annotated[str, Field(min_length=1, max_length=2_000)] = Field(description="Address that gets a POST request.")


class StandingBody(RequestBody):
    """A saved search, checked against the documents of each new generation."""

    query: SearchText = Field(description="The query, in plain words; `*` matches all documents of the filter.")
    filter: Text = Field(default="", description="Expression over metadata fields, as in a search.")
    mode: ModeName | None = Field(default=None, description="Retrievers, as in a search.")
    min_score: float | None = Field(
        default=None, ge=-1e9, le=1e9, allow_inf_nan=False, description="Lowest score of a match."
    )
    webhook: WebhookBody | None = Field(default=None, description="Where to send matches; default: they are polled.")

    model_config = examples({"query": "heat transfer in thin plates", "filter": "year >= 2020"})


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


class StandingMatchesParameters(UrlParameters):
    """Which matches to return."""

    after: int = Field(default=0, ge=0, description="Number of the last match that the caller has.")
    limit: int = Field(default=100, ge=1, le=1_000, description="Maximum number of matches.")


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
