"""Fields and generations of a collection."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from .base import Answer, MetadataValue
from .facets import FacetAnswer


class FieldAnswer(Answer):
    """A metadata field over the live documents."""

    name: str
    type: str
    documents: int = Field(description="Documents that have the field.")
    different: int = Field(description="Number of different values.")
    values: list[FacetAnswer] = Field(description="The most frequent values, if the field is countable.")
    least: MetadataValue | None = None
    most: MetadataValue | None = None


class GenerationAnswer(Answer):
    """A kept generation."""

    generation: int
    current: bool
    committed: datetime | None
    documents: int
    passages: int
    size_bytes: int


class OverviewAnswer(Answer):
    """The fields and generations of a collection."""

    fields: list[FieldAnswer]
    generations: list[GenerationAnswer]
    source_age_seconds: float | None = Field(
        default=None, description="Seconds since this copy was last known to equal its source; null: it is no copy."
    )
