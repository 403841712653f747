"""Haystack's filters in the filter language of the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from haystack.errors import FilterError as HaystackFilterError

from retrieval import errors
from retrieval.index.metadata.filter_text import NO_DOCUMENT, ids_filter
from service.adapters.conditions import MAX_NESTING, ORDERS, Conditions, all_of, any_of, encodable, negated

OPERATORS = ("==", "!=", *ORDERS, "in", "not in")
GROUPS = ("AND", "OR", "NOT")
OTHER_PARTS = ("content", "blob", "score", "embedding", "sparse_embedding", "meta")  # of a document


def to_filter(filters: dict[str, Any] | None, fields: Mapping[str, str]) -> str:
    """Return Haystack's filters as an expression, for a collection with `fields`.

    Raises Haystack's FilterError.
    """
    if not filters:
        return ""
    try:
        return encodable(_condition(filters, Conditions(fields), 0))
    except errors.FilterError as error:
        raise HaystackFilterError(str(error)) from error


def _condition(filters: Any, conditions: Conditions, depth: int) -> str:
    if not isinstance(filters, Mapping):
        raise HaystackFilterError(f"the condition {filters!r} is {type(filters).__name__}; give a dictionary")
    needed = ("operator", "value") if "field" in filters else ("operator", "conditions")
    missing = [each for each in needed if each not in filters]
    if missing or (unknown := sorted(filters.keys() - {"field", *needed})):
        problem = f"has no {missing[0]!r}" if missing else f"has the unknown name {unknown[0]!r}"
        raise HaystackFilterError(f"the condition {filters!r} {problem}; it has field, operator and value, or a group")
    if "field" in filters:
        return _comparison(str(filters["field"]), filters["operator"], filters["value"], conditions)
    return _group(filters["operator"], filters["conditions"], conditions, depth)


def _group(operator: Any, members: Any, conditions: Conditions, depth: int) -> str:
    if operator not in GROUPS:
        raise HaystackFilterError(f"a group's operator is {operator!r}; give one of {', '.join(GROUPS)}")
    if not isinstance(members, list):
        raise HaystackFilterError(f"conditions is {type(members).__name__}; give a list")
    if depth == MAX_NESTING:
        raise HaystackFilterError(f"the filters are nested more than {MAX_NESTING} deep; simplify them")
    inner = [_condition(each, conditions, depth + 1) for each in members]
    if operator == "OR":
        return any_of(inner)
    return all_of(inner) if operator == "AND" else negated(all_of(inner))


def _comparison(name: str, operator: Any, value: Any, conditions: Conditions) -> str:
    if operator not in OPERATORS:
        raise HaystackFilterError(f"{name}: the operator is {operator!r}; give one of {', '.join(OPERATORS)}")
    if operator in ("in", "not in") and not isinstance(value, list):
        raise HaystackFilterError(f"{name} {operator} {value!r}: the value is {type(value).__name__}; give a list")
    if name in OTHER_PARTS:
        raise HaystackFilterError(f"{name!r} cannot be compared; give id, or a field of meta such as meta.year")
    field = name.removeprefix("meta.")
    if operator in ORDERS:
        return NO_DOCUMENT if value is None else conditions.ordered(field, operator, value)
    values = value if operator in ("in", "not in") else [value]
    if name == "id":
        found = ids_filter(each for each in values if isinstance(each, str))
    else:
        found = conditions.among(field, values)
    return found if operator in ("==", "in") else negated(found)
