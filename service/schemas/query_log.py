"""The query log on the wire: clicks, and what the searches show."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from service.schemas.base import RequestBody, UrlParameters, WholeNumber, examples


class EventBody(RequestBody):
    """A click on a hit."""

    query_id: str = Field(
        pattern="^[0-9a-f]{16}$", max_length=16, description="The `query_id` of the answer with the hit."
    )
    document: str = Field(min_length=1, max_length=1_000, description="Id of the hit.")
    position: WholeNumber = Field(ge=1, le=20_000, description="Rank of the hit, from 1.")
    event: Literal["click"] = Field(default="click", description="The kind of the event.")

    model_config = examples({"query_id": "0123456789abcdef", "document": "pubmed-42", "position": 1})


class LoggedQueriesParameters(UrlParameters):
    """Which queries of the log to list."""

    problem: Literal["", "zero_hits", "low_confidence"] = Field(
        default="", description="Only queries with such searches, ordered by their number; empty: all queries."
    )
    k: int = Field(default=50, ge=1, le=1_000, description="Maximum number of queries.")
