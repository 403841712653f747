"""Facets; they mirror the records of retrieval/facets.py."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from .base import Answer


class FacetAnswer(Answer):
    """The number of matching documents with a value."""

    value: str | int | float | bool
    count: int


class RangeAnswer(Answer):
    """The number of matching documents with a value from `start` to below `end`."""

    start: int | float | datetime | None = Field(description="Null: no bound.")
    end: int | float | datetime | None = Field(description="Null: no bound.")
    count: int


class FacetStatsAnswer(Answer):
    """The extremes of a field of numbers or dates, and the ranges that were asked for."""

    min: int | float | datetime | None = Field(description="Null if no matching document has a value.")
    max: int | float | datetime | None
    ranges: list[RangeAnswer] = Field(default_factory=list)


class FacetValuesAnswer(Answer):
    """The values of a facet, the most frequent first."""

    field: str
    values: list[FacetAnswer]
