"""Standing queries on the wire."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from service.client.options import ModeName
from service.schemas.base import RequestBody, Text, UrlParameters, examples
from service.schemas.search import SearchText


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


class StandingMatchesParameters(UrlParameters):
    """Which matches to return."""

    after: int = Field(default=0, ge=0, description="Number of the last match that the caller has.")
    limit: int = Field(default=100, ge=1, le=1_000, description="Maximum number of matches.")
