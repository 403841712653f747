"""A search over several collections on the wire."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from service.schemas.base import Name, items, query_or_examples
from service.schemas.search import SearchBody


class SeveralSearchBody(SearchBody):
    """One search over several collections."""

    collections: Annotated[list[Name], items(16)] = Field(
        min_length=1, description="Names of collections with one encoder; their documents are ranked together."
    )

    model_config = query_or_examples({"collections": ["small"], "query": "heat transfer", "k": 5})
