"""Interleaved searches on the wire."""

from __future__ import annotations

from pydantic import Field

from service.schemas.base import RequestBody, examples
from service.schemas.search import SearchBody


class InterleavedBody(RequestBody):
    """Two searches with one query, whose hits are mixed to compare them by clicks."""

    name: str = Field(
        pattern="^[A-Za-z0-9._-]{1,100}$", max_length=100, description="Name of the comparison, in the query log."
    )
    a: SearchBody = Field(description="The first search.")
    b: SearchBody = Field(description="The second search: the same query and k, other settings.")

    model_config = examples(
        {
            "name": "more-words",
            "a": {"query": "wing in a slipstream"},
            "b": {"query": "wing in a slipstream", "mode": "hybrid", "weight": 0.3},
        }
    )
