"""Metadata fields: types inferred or declared, values checked.

The types are string, number, boolean and date (in UTC unless it has a time zone), and lists of these.  A missing value
and None are null.  A string field also takes numbers and booleans, as text.  The other types take values of their type
and, for tables without types, the text of such values; blank text is a missing value.  A whole number that a double
does not represent, such as an id beyond 2^53, makes the inferred type a string.  Blank text and empty lists leave the
type to other values.  `columns.py` stores the values; this module runs in parser processes, without Arrow.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import reduce
from typing import Any

from retrieval.errors import SchemaError
from retrieval.types import FieldType, Metadata, MetadataScalar, MetadataValue, Schema

_TRUE, _FALSE = frozenset({"true", "yes"}), frozenset({"false", "no"})
MAX_FIELDS = 1000
MAX_NAME_CHARACTERS = 512  # of a new field
MAX_SHOWN_FIELDS = 12  # in an error message
_EXACT = 2.0**53  # beyond it a double does not represent every whole number


def parse_schema(text: str) -> Schema:
    """Parse `year=number,topic=strings` into a schema.  Raises SchemaError."""
    fields: dict[str, FieldType] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, kind = part.partition("=")
        if not name.strip() or kind.strip() not in list(FieldType):
            raise SchemaError(f"schema {part!r}: write FIELD=TYPE, where TYPE is one of {', '.join(FieldType)}")
        fields[name.strip()] = FieldType(kind.strip())
    return fields


def extend_schema(schema: Schema, documents: Iterable[Mapping[str, Any]]) -> Schema:
    """Add the unknown fields of `documents`, in types that fit all values.

    Raises SchemaError for too many fields and for a value without a type.
    """
    seen: dict[str, _SeenValues] = {}
    for metadata in documents:
        for name, value in metadata.items():
            if value is not None and name not in schema:
                _check_name(name)
                seen[name] = seen.get(name, _SeenValues()).plus(_seen(name, value))
    kinds = {name: values.kind for name, values in sorted(seen.items()) if values.kind is not None}
    count = len(schema) + len(kinds)
    if count > MAX_FIELDS:
        raise SchemaError(f"{count} metadata fields; {MAX_FIELDS} is the limit; give the schema yourself")
    return {**schema, **kinds}


def typed_metadata(metadata: Mapping[str, Any], schema: Schema, document_id: str) -> Metadata:
    """Return typed values without nulls.  Raises SchemaError for a misfit."""
    values: dict[str, MetadataValue] = {}
    for name, value in metadata.items():
        if _is_missing(value, schema.get(name)):
            continue
        if name not in schema:
            known = ", ".join([*list(schema)[:MAX_SHOWN_FIELDS], *["…"] * (len(schema) > MAX_SHOWN_FIELDS)]) or "none"
            raise SchemaError(f"document {document_id!r}: field {name!r} is not in the schema (fields: {known})")
        try:
            values[name] = _read(value, schema[name])
        except (TypeError, ValueError, OverflowError) as error:
            wider = FieldType.STRINGS if isinstance(value, list | tuple) else FieldType.STRING
            raise SchemaError(
                f"document {document_id!r}: field {name!r} is a {schema[name]}, and {_shown(value)} is not; "
                f"correct the value, or give the type with --schema {name}={wider}"
            ) from error
    return values


def _check_name(name: str) -> None:
    if len(name) > MAX_NAME_CHARACTERS:
        raise SchemaError(
            f"the metadata name {_shown(name)} has {len(name):,} characters; {MAX_NAME_CHARACTERS:,} is the limit; "
            "shorten it"
        )


@dataclass(frozen=True, slots=True)
class _SeenValues:
    """The values of a new field so far; `element` is None until one tells the type."""

    element: FieldType | None = None
    is_list: bool = False
    is_blank: bool = False

    def plus(self, other: _SeenValues) -> _SeenValues:
        one, two = self.element or other.element, other.element or self.element
        element = one if one == two else FieldType.STRING
        return _SeenValues(element, self.is_list or other.is_list, self.is_blank or other.is_blank)

    @property
    def kind(self) -> FieldType | None:
        """The narrowest type that takes all values; None if there were only empty lists."""
        element = self.element or (FieldType.STRING if self.is_blank else None)
        return element and (element.as_list if self.is_list else element)


def _seen(name: str, value: Any) -> _SeenValues:
    if isinstance(value, list | tuple):
        items = (_seen(name, each) for each in value if each is not None)
        return reduce(_SeenValues.plus, items, _SeenValues(is_list=True))
    if isinstance(value, str) and not value.strip():
        return _SeenValues(is_blank=True)
    return _SeenValues(_inferred_type(name, value))


def _inferred_type(name: str, value: Any) -> FieldType:
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
    raise SchemaError(f"field {name!r}: {_shown(value)} is neither a string, number, boolean, date nor a list of such")


def _is_missing(value: Any, kind: FieldType | None) -> bool:
    """Check for a value that says nothing: None, an empty list, or blank text.

    A list field keeps an empty list, a text field blank text.
    """
    if isinstance(value, list | tuple):
        return all(each is None for each in value) and (kind is None or not kind.is_list)
    is_text = kind is None or kind.element is FieldType.STRING
    return value is None or (isinstance(value, str) and not is_text and not value.strip())


def _is_date(text: str) -> bool:
    """Check whether a text is an ISO 8601 date with dashes; a bare number is not."""
    if len(text) < 10 or text[4] != "-" or text[7] != "-":
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _read_string(value: Any) -> str:
    if isinstance(value, str):
        value.encode()  # raises for a lone surrogate, which cannot be stored
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
    """Check whether a double represents a whole number, such as a large id."""
    try:
        return int(float(value)) == value
    except OverflowError:
        return False


def _whole(value: Any) -> int:
    """Return the whole number that a value is or spells, otherwise 0."""
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


_READERS: Mapping[FieldType, Callable[[Any], MetadataScalar]] = {
    FieldType.STRING: _read_string,
    FieldType.NUMBER: _read_number,
    FieldType.BOOLEAN: _read_boolean,
    FieldType.DATE: _read_date,
}


def _read(value: Any, kind: FieldType) -> MetadataValue:
    read = _READERS[kind.element]
    if not kind.is_list:
        return read(value)
    values = value if isinstance(value, list | tuple) else (value,)
    return tuple(read(each) for each in values if not _is_missing(each, kind.element))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def plain_number(value: Any) -> Any:
    """Return a whole float as an integer (2001.0 as 2001), any other value unchanged."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT else value
