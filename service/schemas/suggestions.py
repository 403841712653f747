"""Completions of a query on the wire."""

from __future__ import annotations

from pydantic import Field

from service.schemas.base import UrlParameters


class SuggestParameters(UrlParameters):
    """A query that is being typed."""

    q: str = Field(min_length=1, max_length=200, description="The start of a query; its last word may be unfinished.")
    k: int = Field(default=5, ge=1, le=20, description="Maximum number of words, and of titles.")
