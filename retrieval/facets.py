"""Records of facets: counts of the values of a metadata field over the match set."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

Bound: TypeAlias = float | datetime  # a number or a date of a field


@dataclass(frozen=True, slots=True)
class FacetCount:
    """The number of matching documents with `value` in the field of a facet."""

    value: str | float | bool
    count: int


@dataclass(frozen=True, slots=True)
class RangeCount:
    """The number of matching documents with a value in `[start, end)`."""

    start: Bound | None  # None: no bound
    end: Bound | None
    count: int


@dataclass(frozen=True, slots=True)
class FacetStats:
    """The extremes of a field of numbers or dates, and the ranges that were asked for."""

    min: Bound | None  # None if no matching document has a value
    max: Bound | None
    ranges: tuple[RangeCount, ...] = ()
