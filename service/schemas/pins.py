"""The pins of a collection on the wire."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from service.schemas.base import RequestBody, examples, items

PinText = Annotated[str, Field(min_length=1, max_length=1_000)]


class PinRuleBody(RequestBody):
    """Queries, and the documents that come first for them."""

    queries: Annotated[list[PinText], items(64)] = Field(min_length=1, description="Compared by their words.")
    documents: Annotated[list[PinText], items(100)] = Field(min_length=1, description="Ids, in the order of the hits.")

    model_config = examples({"queries": ["rain jacket", "raincoat"], "documents": ["sku-17", "sku-3"]})


class PinsBody(RequestBody):
    """The new pins of a collection."""

    pins: Annotated[list[PinRuleBody], items(10_000)]

    model_config = examples({"pins": [{"queries": ["rain jacket"], "documents": ["sku-17"]}]})
