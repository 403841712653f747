"""Typed metadata as Arrow columns; a missing value is null.

string    pyarrow.string()
number    pyarrow.float64()
boolean   pyarrow.bool_()
date      pyarrow.timestamp("us", "UTC")
strings   pyarrow.list_(pyarrow.string()); numbers, booleans and dates are lists of those types
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from retrieval.index.metadata.schema import plain_number
from retrieval.types import FieldType, Metadata, MetadataValue, Schema


def arrow_type(kind: FieldType) -> pa.DataType:
    """Return the Arrow type of a field."""
    element = {
        FieldType.STRING: pa.string(),
        FieldType.NUMBER: pa.float64(),
        FieldType.BOOLEAN: pa.bool_(),
        FieldType.DATE: pa.timestamp("us", "UTC"),
    }[kind.element]
    return pa.list_(element) if kind.is_list else element


def arrow_schema(schema: Schema) -> pa.Schema:
    """Return the Arrow columns of a schema, in its order."""
    return pa.schema([(name, arrow_type(kind)) for name, kind in schema.items()])


def to_columns(rows: Sequence[Metadata], schema: Schema) -> list[pa.Array]:
    """Return typed values as Arrow columns; a missing value is null."""
    return [pa.array([row.get(name) for row in rows], arrow_type(kind)) for name, kind in schema.items()]


def from_scalar(scalar: pa.Scalar) -> MetadataValue | None:
    """Return the Python value of a cell."""
    value = scalar.as_py()
    return tuple(map(_from_arrow, value)) if isinstance(value, list) else _from_arrow(value)


def _from_arrow(value: Any) -> Any:
    # Of a date it is the same instant; Arrow uses another tzinfo.
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else plain_number(value)
