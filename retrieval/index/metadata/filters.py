"""Filters: an expression over metadata fields becomes one bitmap of documents, before any search.

    year >= 2019 AND topic IN ["nlp", "ir"] AND NOT draft AND author EXISTS AND date < 2024-05-01

The grammar stands in `filter_syntax.py`.  Meaning, where it could be doubted: logic has two values, so a document
without the field fails every comparison and passes its negation (`a != 1` is `NOT a = 1`); a list matches when any
element does; text compares by code points; a date without a time is the whole day, in UTC.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retrieval.errors import FilterError
from retrieval.index.metadata.filter_parser import (
    Comparison,
    Condition,
    Conjunction,
    Disjunction,
    Existence,
    Membership,
    Moment,
    Negation,
    Node,
    Value,
    moment,
    parse,
)
from retrieval.types import Bitmap, FieldType, Schema

_ORDERED = frozenset({FieldType.STRING, FieldType.STRINGS, FieldType.NUMBER, FieldType.DATE})
_EXPECTED = {
    FieldType.STRING: "text in quotes",
    FieldType.STRINGS: "text in quotes",
    FieldType.NUMBER: "a number",
    FieldType.BOOLEAN: "TRUE or FALSE",
    FieldType.DATE: "a date such as 2024-05-01",
}
_COMPARE = {"=": pc.equal, "<": pc.less, "<=": pc.less_equal, ">": pc.greater, ">=": pc.greater_equal}


@dataclass(frozen=True, slots=True)
class Filter:
    """A checked filter; made by `compile_filter`."""

    expression: str
    root: Node
    schema: Schema

    def documents(self, column: Callable[[str], pa.ChunkedArray], n: int) -> Bitmap:
        """The documents that match, (n,); `column(field)` gives a field of all n, null where absent."""
        return self._matches(self.root, column, n)

    def _matches(self, node: Node, column: Callable[[str], pa.ChunkedArray], n: int) -> Bitmap:
        match node:
            case Negation(operand):
                return ~self._matches(operand, column, n)
            case Conjunction(operands):
                return reduce(np.logical_and, (self._matches(each, column, n) for each in operands))
            case Disjunction(operands):
                return reduce(np.logical_or, (self._matches(each, column, n) for each in operands))
            case _:
                chunks = [_condition(node, self.schema[node.field], chunk) for chunk in column(node.field).chunks]
                found = np.concatenate(chunks) if chunks else np.zeros(0, dtype=bool)
                if len(found) != n:
                    raise ValueError(f"the column {node.field!r} has {len(found)} values, not {n}")
                return found


def compile_filter(expression: str, schema: Schema) -> Filter:
    """Read an expression and hold it against the schema.

    FilterError: what cannot be read, with its column; an unknown field, with the nearest known one; a value whose type
    is not the field's.
    """
    return Filter(expression, _typed(parse(expression), schema), dict(schema))


def known_field(name: str, schema: Schema, what: str) -> FieldType:
    """The type of a field; FilterError names the nearest known field.

    `what` names the place for the message.
    """
    if name in schema:
        return schema[name]
    nearest = difflib.get_close_matches(name, schema, n=1)
    if nearest:
        hint = f"did you mean {nearest[0]!r}?"
    elif schema:
        hint = "the fields are " + ", ".join(map(repr, sorted(schema)))
    else:
        hint = "the collection has no metadata fields"
    raise FilterError(f"{what}: unknown field {name!r}; {hint}")


def _typed(node: Node, schema: Schema) -> Node:
    match node:
        case Negation(operand):
            return Negation(_typed(operand, schema))
        case Conjunction(operands):
            return Conjunction(tuple(_typed(each, schema) for each in operands))
        case Disjunction(operands):
            return Disjunction(tuple(_typed(each, schema) for each in operands))
    kind = known_field(node.field, schema, f"filter, column {node.column}")
    match node:
        case Comparison(field, operator, value, column):
            if operator != "=" and kind not in _ORDERED:
                raise FilterError(
                    f"filter, column {column}: {field!r} is a {kind} field and has no order; compare it with = or !="
                )
            return Comparison(field, operator, _fitting(value, kind, node), column)
        case Membership(field, values, column):
            return Membership(field, tuple(_fitting(value, kind, node) for value in values), column)
    return node


def _fitting(value: Value, kind: FieldType, node: Comparison | Membership) -> Value:
    """The value as the field's type; text that reads as a date is one where a date is expected."""
    if kind is FieldType.DATE and isinstance(value, str):
        return moment(value, node.column)
    fits = {
        FieldType.STRING: isinstance(value, str),
        FieldType.STRINGS: isinstance(value, str),
        FieldType.NUMBER: isinstance(value, float),
        FieldType.BOOLEAN: isinstance(value, bool),
        FieldType.DATE: isinstance(value, Moment),
    }
    if fits[kind]:
        return value
    raise FilterError(
        f"filter, column {node.column}: {node.field!r} is a {kind} field, so it is compared with {_EXPECTED[kind]}, "
        f"not {_shown(value)}"
    )


def _shown(value: Value) -> str:
    match value:
        case Moment(start):
            return start.isoformat()
        case bool():
            return str(value).upper()
        case float():
            return f"{value:g}"
    return repr(value)


def _condition(node: Condition, kind: FieldType, chunk: pa.Array) -> Bitmap:
    if isinstance(node, Existence):
        return _exists(kind, chunk)
    if kind is not FieldType.STRINGS:
        return _values(node, chunk)
    found = np.zeros(len(chunk), dtype=bool)
    elements = _values(node, pc.list_flatten(chunk))
    found[pc.list_parent_indices(chunk).to_numpy()[elements]] = True
    return found


def _exists(kind: FieldType, chunk: pa.Array) -> Bitmap:
    if kind is FieldType.STRINGS:
        return _bitmap(pc.greater(pc.list_value_length(chunk), 0))
    return _bitmap(chunk.is_valid())


def _values(node: Comparison | Membership, values: pa.Array) -> Bitmap:
    """Which of the values match, element for element."""
    if isinstance(node, Comparison):
        return _compared(values, node.operator, node.value)
    if any(isinstance(value, Moment) for value in node.values):
        return reduce(np.logical_or, (_compared(values, "=", value) for value in node.values))
    return _bitmap(pc.is_in(values, value_set=_array(node.values, values.type)))


def _compared(values: pa.Array, operator: str, value: Value) -> Bitmap:
    if isinstance(value, Moment):
        return _compared_in_time(values, operator, value)
    return _bitmap(_COMPARE[operator](values, _array([value], values.type)[0]))


def _compared_in_time(values: pa.Array, operator: str, when: Moment) -> Bitmap:
    """A day is the span from its midnight to the next: before it, in it, after it."""

    def against(name: str, edge: datetime) -> Bitmap:
        return _bitmap(_COMPARE[name](values, pa.scalar(edge).cast(values.type)))

    match operator, when.end:
        case "=", datetime() as end:
            return against(">=", when.start) & against("<", end)
        case "<=", datetime() as end:
            return against("<", end)
        case ">", datetime() as end:
            return against(">=", end)
    return against(operator, when.start)


def _array(values: Iterable[Value], kind: pa.DataType) -> pa.Array:
    return pa.array(list(values), type=kind)


def _bitmap(mask: pa.Array) -> Bitmap:
    return np.asarray(mask.fill_null(False).to_numpy(zero_copy_only=False), dtype=bool)
