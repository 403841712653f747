"""Facets on the wire."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from service.schemas.base import Name, Text, UrlParameters

FACETS: Any = Field(
    default_factory=list,
    description="Fields to count values of, over all matches, or ranges: `price [10, 50]`, `modified [now-7d]`.",
)
DISJUNCTIVE: Any = Field(
    default_factory=list, description="Facet fields whose counts ignore the filter's conditions on the field itself."
)
FACET_PREFIX: Any = Field(default="", description="Count only values of facets that begin so, in any case.")


class FacetValuesParameters(UrlParameters):
    """A search in the values of a facet, as URL parameters."""

    prefix: Name = Field(default="", description="The start of a value, in any case; empty: all values.")
    q: Text = Field(default="", description="Count over the matches of this query; empty: over all documents.")
    filter: Text = Field(default="", description="Count only matching documents, such as `year > 2000`.")
    k: int = Field(default=10, ge=1, le=100, description="Maximum number of values.")
