"""Aliases of collections on the wire."""

from __future__ import annotations

from pydantic import Field

from service.schemas.base import Name, RequestBody, examples


class AliasBody(RequestBody):
    """The collection that an alias names from now on."""

    collection: Name = Field(min_length=1, description="Name of a collection, not of an alias.")

    model_config = examples({"collection": "papers-2026"})
