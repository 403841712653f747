"""The tree of a filter expression; `filter_parser.py` makes it from text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from retrieval.index.metadata.moments import Moment

STARTS_WITH, CONTAINS = "STARTS WITH", "CONTAINS"

Value: TypeAlias = str | float | bool | Moment


@dataclass(frozen=True, slots=True)
class FieldComparison:
    """`field operator value`; `column` is the position of the field, from 1."""

    field: str
    operator: str  # "=", "<", "<=", ">", ">=", STARTS_WITH or CONTAINS; "!=" is the negation of "="
    value: Value
    column: int
    ignores_case: bool = False  # of STARTS_WITH and CONTAINS


@dataclass(frozen=True, slots=True)
class FieldMembership:
    """`field IN [values]`."""

    field: str
    values: tuple[Value, ...]
    column: int


@dataclass(frozen=True, slots=True)
class FieldExistence:
    """`field EXISTS`: the document has a value of the field."""

    field: str
    column: int


@dataclass(frozen=True, slots=True)
class GeoDistance:
    """`near(field, latitude, longitude) operator distance`, in degrees and metres."""

    field: str
    latitude: float
    longitude: float
    operator: str  # "<", "<=", ">" or ">="
    metres: float
    column: int


@dataclass(frozen=True, slots=True)
class GeoBox:
    """`box(field, south, west, north, east)`: positions between two corners."""

    field: str
    south: float
    west: float
    north: float
    east: float  # less than `west` if the box crosses the 180th meridian
    column: int


@dataclass(frozen=True, slots=True)
class DocumentIds:
    """`ids("a", "b")`: the documents with one of these ids; `ids()` has none."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Negation:
    """All documents that `operand` does not match, also those without the field."""

    operand: FilterNode


@dataclass(frozen=True, slots=True)
class Conjunction:
    """The documents that all operands match."""

    operands: tuple[FilterNode, ...]


@dataclass(frozen=True, slots=True)
class Disjunction:
    """The documents that an operand matches."""

    operands: tuple[FilterNode, ...]


FieldCondition: TypeAlias = FieldComparison | FieldMembership | FieldExistence
GeoCondition: TypeAlias = GeoDistance | GeoBox
FilterNode: TypeAlias = FieldCondition | GeoCondition | DocumentIds | Negation | Conjunction | Disjunction
