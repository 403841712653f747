"""Conditions of frameworks' filters, in the filter language of the service.

The frameworks compare values of Python: a field that no document has is None everywhere, and a number never equals a
text.  The language compares columns of one type and refuses unknown fields.  `Conditions` knows the types of the fields
of a collection, and writes what a framework means.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from retrieval.errors import FilterError
from retrieval.index.metadata.filter_text import NO_DOCUMENT, quoted

MAX_NESTING = 20  # of groups of conditions
MAX_ID_CHARACTERS = 3_000  # of a filter with ids; others may stand beside it, and the service takes 4,000
ORDERS = (">", ">=", "<", "<=")


class Conditions:
    """Writes conditions on the fields of a collection; `fields` has their types."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields

    def kind(self, field: str) -> str:
        """Return the type of one value of a field; "" if no document has the field."""
        return self._fields.get(field, "").removesuffix("s")

    def is_list(self, field: str) -> bool:
        return self._fields.get(field, "").endswith("s")

    def exists(self, field: str) -> str:
        """Write: the document has a value there; for an object, in any of its fields."""
        inside = [name for name in self._fields if name == field or name.startswith(f"{field}.")]
        return any_of([f"{quoted(name)} EXISTS" for name in inside])

    def equal(self, field: str, value: Any) -> str:
        """Write: the value, or an element of the list, equals `value`."""
        return self.among(field, [value])

    def among(self, field: str, values: Iterable[Any]) -> str:
        """Write: the value, or an element of the list, equals one of `values`."""
        values = list(values)
        written = list(dict.fromkeys(filter(None, (self._equal_value(field, value) for value in values))))
        has_none = any(value is None for value in values)
        missing = [negated(self.exists(field))] if has_none else []
        return any_of([*([f"{quoted(field)} IN [{', '.join(written)}]"] if written else []), *missing])

    def ordered(self, field: str, operator: str, value: Any) -> str:
        """Write a comparison by `operator`, one of ORDERS.

        A field that no document has matches nothing.  Raises FilterError for a value without an order in the field.
        """
        moment = moment_of(value)
        if moment is None and (isinstance(value, str) or not isinstance(value, int | float)):
            raise FilterError(f"{field} {operator} {value!r}: only numbers and dates have an order")
        kind = self.kind(field)
        if not kind:
            return NO_DOCUMENT
        if kind != ("number" if moment is None else "date"):
            raise FilterError(f"{field} is a {self._fields[field]} field; {operator} cannot compare it with {value!r}")
        written = _number(value) if moment is None else quoted(moment.isoformat())
        if not written:
            raise FilterError(f"{field} {operator} {value!r}: the number is beyond those that can be compared")
        return f"{quoted(field)} {operator} {written}"

    def has_text(self, field: str, text: Any, *, ignores_case: bool = False) -> str:
        """Write: the text of the field contains `text`."""
        if not isinstance(text, str):
            raise FilterError(f"{field}: {text!r} is no text; give the text that the field contains")
        if self.kind(field) not in ("", "string"):
            raise FilterError(f"{field} is a {self._fields[field]} field; only text contains text")
        case = " IGNORE CASE" if ignores_case else ""
        return f"{quoted(field)} CONTAINS {quoted(text)}{case}" if self.kind(field) else NO_DOCUMENT

    def _equal_value(self, field: str, value: Any) -> str:
        """Write a value that can equal one of the field; "" for another one."""
        kind, moment = self.kind(field), moment_of(value)
        if isinstance(value, Mapping | list | tuple | set):
            raise FilterError(f"{field}: {value!r} is no single value; compare each of its values")
        if kind == "string" and value is not None:
            return quoted(value if isinstance(value, str) else _as_text(value))
        if kind == "date" and moment is not None:
            return quoted(moment.isoformat())
        if kind == "number" and isinstance(value, int | float):
            return _number(value)
        if kind == "boolean" and isinstance(value, int | float) and value in (0, 1):
            return "TRUE" if value else "FALSE"
        return ""


def moment_of(value: Any) -> datetime | None:
    """Return a date or an ISO 8601 text with one as a time in UTC; None for others."""
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d", value):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime):
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value


def encodable(expression: str) -> str:
    """Return an expression.  Raises FilterError for half of a surrogate pair in it."""
    try:
        expression.encode()
    except UnicodeEncodeError as error:
        raise FilterError(f"the filter has half of a surrogate pair: {error.object[error.start]!r}") from error
    return expression


def negated(condition: str) -> str:
    return f"NOT ({condition})"


def any_of(conditions: Sequence[str]) -> str:
    """Join conditions by OR; without any, no document matches."""
    return _joined("OR", conditions) or NO_DOCUMENT


def all_of(conditions: Sequence[str]) -> str:
    """Join conditions by AND; without any, every document matches."""
    return _joined("AND", conditions) or negated(NO_DOCUMENT)


def _joined(word: str, conditions: Sequence[str]) -> str:
    if len(conditions) == 1:
        return conditions[0]
    return f" {word} ".join(f"({each})" for each in conditions)


def _number(value: float) -> str:
    """Write a number; "" for one that no field of numbers holds."""
    exact = math.isfinite(value) and (isinstance(value, float) or _is_double(value))
    return json.dumps(value + 0) if exact else ""  # + 0: TRUE is 1


def _is_double(value: int) -> bool:
    return abs(value) < 2**1_000 and int(float(value)) == value


def _as_text(value: Any) -> str:
    """Return a value as a field of texts stores it."""
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    return json.dumps(value) if isinstance(value, bool | int | float) else str(value)
