"""Metadata fields and their types: inferred or given, checked value by value, kept as Arrow columns.

    string    pyarrow.string()
    number    pyarrow.float64()
    boolean   pyarrow.bool_()
    date      pyarrow.timestamp("us", "UTC"); without a time zone UTC is meant
    strings   pyarrow.list_(pyarrow.string())

A value that is absent or None is null.  A string field takes numbers and booleans too (as their text), the other types
take what they are and, for tables without types, its text.  A whole number that a double does not hold, such as an id
beyond 2^53, makes a field one of strings.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

from retrieval.errors import SchemaError
from retrieval.types import FieldType, Metadata, MetadataValue, Schema

_TRUE, _FALSE = frozenset({"true", "yes"}), frozenset({"false", "no"})
_MAX_FIELDS = 1000
_EXACT = 2.0**53  # beyond it a double does not hold every whole number


def parse_schema(text: str) -> Schema:
    """`year=number,topic=strings` as a schema."""
    fields: dict[str, FieldType] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, kind = part.partition("=")
        if not name.strip() or kind.strip() not in list(FieldType):
            kinds = ", ".join(FieldType)
            raise SchemaError(f"schema {part!r}: write FIELD=TYPE, where TYPE is one of {kinds}")
        fields[name.strip()] = FieldType(kind.strip())
    return fields


def extend_schema(schema: Schema, documents: Iterable[Mapping[str, Any]]) -> Schema:
    """`schema` and, inferred from all the values in `documents`, the fields that it does not know."""
    kinds: dict[str, FieldType] = {}
    for metadata in documents:
        for name, value in metadata.items():
            if value is not None and name not in schema:
                kind = _kind(name, value)
                kinds[name] = _wider(kinds[name], kind) if name in kinds else kind
    if len(schema) + len(kinds) > _MAX_FIELDS:
        raise SchemaError(
            f"{len(schema) + len(kinds)} metadata fields; {_MAX_FIELDS} at most: give the schema yourself"
        )
    return {**schema, **dict(sorted(kinds.items()))}


def typed(metadata: Mapping[str, Any], schema: Schema, document_id: str) -> Metadata:
    """The values as their fields have them, nulls left out.

    Raises SchemaError for one that does not fit.
    """
    values: dict[str, MetadataValue] = {}
    for name, value in metadata.items():
        if value is None:
            continue
        if name not in schema:
            known = ", ".join(schema) or "none"
            raise SchemaError(f"document {document_id!r}: field {name!r} is not in the schema (fields: {known})")
        try:
            values[name] = _READERS[schema[name]](value)
        except (TypeError, ValueError, OverflowError) as error:
            raise SchemaError(
                f"document {document_id!r}: field {name!r} is a {schema[name]}, and {_shown(value)} is not; "
                f"correct the value, or give the type with --schema {name}=string"
            ) from error
    return values


def _kind(name: str, value: Any) -> FieldType:
    if isinstance(value, bool):
        return FieldType.BOOLEAN
    if isinstance(value, int):
        return FieldType.NUMBER if is_exact(value) else FieldType.STRING
    if isinstance(value, float):
        return FieldType.NUMBER
    if isinstance(value, date):
        return FieldType.DATE
    if isinstance(value, str):
        return FieldType.DATE if _is_date(value) else FieldType.STRING
    if isinstance(value, list | tuple):
        return FieldType.STRINGS
    raise SchemaError(f"field {name!r}: {_shown(value)} is neither a string, number, boolean, date nor list of strings")


def _wider(one: FieldType, other: FieldType) -> FieldType:
    """The narrowest type that takes the values of both."""
    if one == other:
        return one
    return FieldType.STRINGS if FieldType.STRINGS in (one, other) else FieldType.STRING


def _is_date(text: str) -> bool:
    """Whether it is an ISO 8601 date with dashes; a bare number is not taken for one."""
    if len(text) < 10 or text[4] != "-" or text[7] != "-":
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _read_string(value: Any) -> str:
    if isinstance(value, str):
        value.encode()  # a lone surrogate cannot be kept
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(plain_number(value))
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError


def _read_number(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError
    number = float(value)
    if not math.isfinite(number) or not is_exact(_whole(value)):
        raise ValueError
    return number


def is_exact(value: int) -> bool:
    """Whether a number field holds this whole number: a double does not hold every one beyond 2^53, such as an id."""
    try:
        return int(float(value)) == value
    except OverflowError:
        return False


def _whole(value: Any) -> int:
    """The whole number that a value is or spells; 0 for any other."""
    try:
        return int(value) if isinstance(value, int | str) else 0
    except ValueError:
        return 0


def _read_boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    if word not in _TRUE | _FALSE:
        raise ValueError
    return word in _TRUE


def _read_date(value: Any) -> datetime:
    if isinstance(value, str):
        value = datetime.fromisoformat(value.strip())
    if not isinstance(value, date):
        raise TypeError
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _read_strings(value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list | tuple) else (value,)
    return tuple(_read_string(each) for each in values)


_READERS: Mapping[FieldType, Callable[[Any], MetadataValue]] = {
    FieldType.STRING: _read_string,
    FieldType.NUMBER: _read_number,
    FieldType.BOOLEAN: _read_boolean,
    FieldType.DATE: _read_date,
    FieldType.STRINGS: _read_strings,
}


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def arrow_type(kind: FieldType) -> pa.DataType:
    """The type of a field's column."""
    return {
        FieldType.STRING: pa.string(),
        FieldType.NUMBER: pa.float64(),
        FieldType.BOOLEAN: pa.bool_(),
        FieldType.DATE: pa.timestamp("us", "UTC"),
        FieldType.STRINGS: pa.list_(pa.string()),
    }[kind]


def arrow_schema(schema: Schema) -> pa.Schema:
    """The columns of a schema, in its order."""
    return pa.schema([(name, arrow_type(kind)) for name, kind in schema.items()])


def to_columns(rows: Sequence[Metadata], schema: Schema) -> list[pa.Array]:
    """Typed values as columns in the order of `schema`, null where a row has none."""
    return [pa.array([row.get(name) for row in rows], arrow_type(kind)) for name, kind in schema.items()]


def from_scalar(scalar: pa.Scalar) -> MetadataValue | None:
    """One cell of a column."""
    value = scalar.as_py()
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC)  # the same moment; Arrow names the zone in its own way
    return plain_number(value)  # type: ignore[no-any-return]


def plain_number(value: Any) -> Any:
    """A whole float as the integer that people write, 2001 rather than 2001.0; anything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT else value
