"""Filters: expressions over metadata fields, evaluated to a bitmap of documents.

    year >= 2019 AND topic IN ["nlp", "ir"] AND NOT draft AND author EXISTS AND date < 2024-05-01

`filter_parser.py` has the grammar.  Logic has two values: a document without the field fails every comparison and
passes its negation (`a != 1` is `NOT a = 1`).  A list matches if one of its elements does.  Text is compared by code
points, also by STARTS WITH and CONTAINS without IGNORE CASE.  A date without a time is the whole day, in UTC; `now` is
one moment for the whole filter.  The filter is evaluated before any search.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retrieval.errors import FilterError
from retrieval.index.metadata.filter_nodes import (
    CONTAINS,
    STARTS_WITH,
    Conjunction,
    Disjunction,
    DocumentIds,
    FieldComparison,
    FieldCondition,
    FieldExistence,
    FieldMembership,
    FilterNode,
    GeoBox,
    GeoDistance,
    Negation,
    Value,
)
from retrieval.index.metadata.filter_parser import number_in, parse_filter
from retrieval.index.metadata.geo import PASSES as GEO_PASSES
from retrieval.index.metadata.geo import matching_positions, position_fields
from retrieval.index.metadata.moments import Moment, parse_moment
from retrieval.types import Bitmap, FieldType, Rows, Schema
from retrieval.util.work_budget import checkpoint, spend_filter_values

_ORDERED = frozenset({FieldType.STRING, FieldType.NUMBER, FieldType.DATE})
_EXPECTED = {
    FieldType.STRING: "text in quotes",
    FieldType.NUMBER: "a number",
    FieldType.BOOLEAN: "TRUE or FALSE",
    FieldType.DATE: "a date such as 2024-05-01",
}
_SEARCH_TEXT = {STARTS_WITH: pc.starts_with, CONTAINS: pc.match_substring}
_VALUE_BYTES = 2  # of text that CONTAINS reads as fast as a number is compared
_CASE_FACTOR = 8  # text is compared by a regular expression to ignore case
_COMPARE = {"=": pc.equal, "<": pc.less, "<=": pc.less_equal, ">": pc.greater, ">=": pc.greater_equal}


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter whose fields and values fit a schema; see `compile_filter`."""

    expression: str
    root: FilterNode
    schema: Schema

    def documents(
        self, column: Callable[[str], pa.ChunkedArray], n: int, rows_of: Callable[[Sequence[str]], Rows]
    ) -> Bitmap:
        """Return the matching documents, (n,).

        `column` reads a field of all n; `rows_of` returns the rows of the ids that are there.  Raises TooLarge if the
        filters of the running request read too many values.
        """
        spend_filter_values(n * _passes(self.root))
        return self._matches(self.root, _Columns(column, n, rows_of))

    def without(self, field: str) -> Filter:
        """Return the filter without its ANDed conditions on `field` alone."""
        return replace(self, root=_without(self.root, field))

    def _matches(self, node: FilterNode, columns: _Columns) -> Bitmap:
        match node:
            case Negation(operand):
                return ~self._matches(operand, columns)
            case Conjunction(()):
                return np.ones(columns.n, np.bool_)
            case Conjunction(operands):
                return reduce(np.logical_and, (self._matches(each, columns) for each in operands))
            case Disjunction(operands):
                return reduce(np.logical_or, (self._matches(each, columns) for each in operands))
            case DocumentIds(ids):
                found = np.zeros(columns.n, np.bool_)
                found[columns.rows_of(ids)] = True
                return found
            case GeoDistance() | GeoBox():
                checkpoint()
                return matching_positions(node, *map(columns.read, position_fields(node, self.schema)))
        checkpoint()
        return self._field_matches(node, columns)

    def _field_matches(self, node: FieldCondition, columns: _Columns) -> Bitmap:
        values = columns.read(node.field)
        if isinstance(node, FieldComparison) and (node.operator == CONTAINS or node.ignores_case):
            spend_filter_values(values.nbytes // _VALUE_BYTES * (_CASE_FACTOR if node.ignores_case else 1))
        chunks = [_condition(node, self.schema[node.field], chunk) for chunk in values.chunks]
        found = np.concatenate(chunks) if chunks else np.zeros(0, dtype=bool)
        if len(found) != columns.n:
            raise ValueError(f"the column {node.field!r} has {len(found)} values, not {columns.n}")
        return found


@dataclass(frozen=True, slots=True)
class _Columns:
    """The source of a filter: the fields of `n` documents, and the rows of ids."""

    read: Callable[[str], pa.ChunkedArray]
    n: int
    rows_of: Callable[[Sequence[str]], Rows]


def compile_filter(expression: str, schema: Schema, now: datetime | None = None) -> Filter:
    """Parse an expression and check it against a schema.

    `now` is what `now` in the expression means; by default, the time of the call.  Raises FilterError for a syntax
    error (with its column), an unknown field (with the nearest known field) and a value of another type than the field.
    """
    return Filter(expression, _typed(parse_filter(expression), schema, now or datetime.now(UTC)), dict(schema))


def known_field(name: str, schema: Schema, context: str) -> FieldType:
    """Return a field's type.  Raises FilterError: `context`, then the nearest field."""
    if name in schema:
        return schema[name]
    nearest = difflib.get_close_matches(name, schema, n=1)
    if nearest:
        hint = f"did you mean {nearest[0]!r}?"
    elif schema:
        hint = "the fields are " + ", ".join(map(repr, sorted(schema)))
    else:
        hint = "the collection has no metadata fields"
    raise FilterError(f"{context}: unknown field {name!r}; {hint}")


def _typed(node: FilterNode, schema: Schema, now: datetime) -> FilterNode:
    match node:
        case Negation(operand):
            return Negation(_typed(operand, schema, now))
        case Conjunction(operands):
            return Conjunction(tuple(_typed(each, schema, now) for each in operands))
        case Disjunction(operands):
            return _with_lists([_typed(each, schema, now) for each in operands])
        case GeoDistance() | GeoBox():
            position_fields(node, schema)
            return node
        case DocumentIds():
            return node
    kind = known_field(node.field, schema, f"filter, column {node.column}")
    match node:
        case FieldComparison(value=value):
            _check_operator(node, kind)
            return replace(node, value=_fitting(value, kind, node, now))
        case FieldMembership(field, values, column):
            return FieldMembership(field, tuple(_fitting(value, kind, node, now) for value in values), column)
    return node


def _check_operator(node: FieldComparison, kind: FieldType) -> None:
    if node.operator in _SEARCH_TEXT:
        if kind.element is not FieldType.STRING:
            raise FilterError(
                f"filter, column {node.column}: {node.field!r} is a {kind} field, and {node.operator} compares text; "
                "use another operator"
            )
    elif node.operator != "=" and kind.element not in _ORDERED:
        raise FilterError(
            f"filter, column {node.column}: {node.field!r} is a {kind} field and has no order; compare it with = or !="
        )


def _with_lists(operands: Sequence[FilterNode]) -> FilterNode:
    """Return the alternatives, those of equal texts as one list for each field.

    A list takes one pass over the field.
    """
    equal: dict[str, list[FieldComparison]] = defaultdict(list)
    others = []
    for each in operands:
        if isinstance(each, FieldComparison) and each.operator == "=" and isinstance(each.value, str):
            equal[each.field].append(each)
        else:
            others.append(each)
    lists = [FieldMembership(field, tuple(e.value for e in found), found[0].column) for field, found in equal.items()]
    joined = (*others, *lists)
    return joined[0] if len(joined) == 1 else Disjunction(joined)


def _fitting(value: Value, kind: FieldType, node: FieldComparison | FieldMembership, now: datetime) -> Value:
    """Return the value in the field's type; read text as a date or a number."""
    if kind.element is FieldType.DATE and isinstance(value, str):
        return parse_moment(value, now, f"filter, column {node.column}")
    if kind.element is FieldType.NUMBER and isinstance(value, str):
        value = number_in(value)
    fits = {FieldType.STRING: str, FieldType.NUMBER: float, FieldType.BOOLEAN: bool, FieldType.DATE: Moment}
    if isinstance(value, fits[kind.element]):
        return value
    expected = _EXPECTED[kind.element]
    raise FilterError(
        f"filter, column {node.column}: {node.field!r} is a {kind} field, so it is compared with {expected}, "
        f"not {_shown(value)}"
    )


def fitting_values(field: str, values: Sequence[Value], kind: FieldType, now: datetime) -> tuple[Value, ...]:
    """Return values in the field's type.  Raises FilterError for another type."""
    node = FieldMembership(field, tuple(values), 1)
    return tuple(_fitting(value, kind, node, now) for value in values)


def _shown(value: Value) -> str:
    match value:
        case Moment(start):
            return start.isoformat()
        case bool():
            return str(value).upper()
        case float():
            return f"{value:g}"
    return repr(value)


def _without(node: FilterNode, field: str) -> FilterNode:
    if isinstance(node, Conjunction):
        left = [_without(each, field) for each in node.operands]
        return Conjunction(tuple(each for each in left if each != Conjunction(())))
    return Conjunction(()) if _fields(node) == {field} else node


def _fields(node: FilterNode) -> set[str]:
    match node:
        case Negation(operand):
            return _fields(operand)
        case Conjunction(operands) | Disjunction(operands):
            return set().union(*map(_fields, operands))
        case DocumentIds():
            return {""}  # no field has an empty name
    return {node.field}


def _passes(node: FilterNode) -> int:
    """Count the passes over columns; a list of dates takes one for each date."""
    match node:
        case Negation(operand):
            return _passes(operand)
        case Conjunction(operands) | Disjunction(operands):
            return sum(map(_passes, operands))
        case FieldMembership(values=values) if any(isinstance(value, Moment) for value in values):
            return len(values)
        case GeoDistance() | GeoBox():
            return GEO_PASSES
        case DocumentIds():
            return 0
    return 1


def _condition(node: FieldCondition, kind: FieldType, chunk: pa.Array) -> Bitmap:
    if isinstance(node, FieldExistence):
        return _bitmap(pc.greater(pc.list_value_length(chunk), 0) if kind.is_list else chunk.is_valid())
    if not kind.is_list:
        return _values(node, chunk)
    found = np.zeros(len(chunk), dtype=bool)
    elements = _values(node, pc.list_flatten(chunk))
    found[pc.list_parent_indices(chunk).to_numpy()[elements]] = True
    return found


def _values(node: FieldComparison | FieldMembership, values: pa.Array) -> Bitmap:
    """Return which values match: (values,)."""
    if isinstance(node, FieldComparison):
        if node.ignores_case:
            return _bitmap(_SEARCH_TEXT[node.operator](values, pattern=node.value, ignore_case=True))
        return _compared(values, node.operator, node.value)
    if any(isinstance(value, Moment) for value in node.values):
        return reduce(np.logical_or, (_compared(values, "=", value) for value in node.values))
    return _bitmap(pc.is_in(values, value_set=pa.array(node.values, values.type)))


def _compared(values: pa.Array, operator: str, value: Value) -> Bitmap:
    if isinstance(value, Moment):
        return _compared_in_time(values, operator, value)
    if operator in _SEARCH_TEXT:
        return _bitmap(_SEARCH_TEXT[operator](values, pattern=value))
    return _bitmap(_COMPARE[operator](values, pa.scalar(value, values.type)))


def _compared_in_time(values: pa.Array, operator: str, when: Moment) -> Bitmap:
    """Compare with a point in time, or with a day from midnight to midnight."""

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


def _bitmap(mask: pa.Array) -> Bitmap:
    return np.asarray(mask.fill_null(False).to_numpy(zero_copy_only=False), dtype=bool)
