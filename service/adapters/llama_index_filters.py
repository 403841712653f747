"""LlamaIndex's metadata filters in the filter language of the service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from llama_index.core.vector_stores.types import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters

from retrieval.errors import FilterError
from retrieval.index.metadata.filter_text import quoted
from service.adapters.conditions import MAX_NESTING, Conditions, all_of, any_of, encodable, negated

LISTS = (FilterOperator.IN, FilterOperator.NIN, FilterOperator.ANY, FilterOperator.ALL)


def to_filter(filters: MetadataFilters | None, fields: Mapping[str, str]) -> str:
    """Return metadata filters as an expression; `fields` are those of the collection.

    Raises FilterError.
    """
    return encodable(_group(filters, Conditions(fields), 0)) if filters is not None and filters.filters else ""


def _group(filters: MetadataFilters, conditions: Conditions, depth: int) -> str:
    """Write a group; without filters, every node matches."""
    if depth > MAX_NESTING:
        raise FilterError(f"the filters are nested more than {MAX_NESTING} deep; simplify them")
    inner = [
        _group(each, conditions, depth + 1) if isinstance(each, MetadataFilters) else _single(each, conditions)
        for each in filters.filters
    ]
    if not inner or filters.condition in (None, FilterCondition.AND):
        return all_of(inner)
    return any_of(inner) if filters.condition is FilterCondition.OR else negated(any_of(inner))


def _single(filter_: MetadataFilter, conditions: Conditions) -> str:
    key, operator, value = filter_.key, filter_.operator, filter_.value
    if operator in LISTS:
        if not isinstance(value, list):
            raise FilterError(f"{key} {operator.value} {value!r}: the value is {type(value).__name__}; give a list")
        return _of_list(key, operator, value, conditions)
    match operator:
        case FilterOperator.EQ:
            return conditions.equal(key, value)
        case FilterOperator.NE:
            return negated(conditions.equal(key, value))
        case FilterOperator.CONTAINS if conditions.is_list(key) or conditions.kind(key) != "string":
            return conditions.equal(key, value)
        case FilterOperator.CONTAINS | FilterOperator.TEXT_MATCH:
            return conditions.has_text(key, value)
        case FilterOperator.TEXT_MATCH_INSENSITIVE:
            return conditions.has_text(key, value, ignores_case=True)
        case FilterOperator.IS_EMPTY:
            blank = [conditions.equal(key, "")] if conditions.kind(key) == "string" else []
            return any_of([negated(conditions.exists(key)), *blank])
    if isinstance(value, str) and conditions.kind(key) == "string":
        return f"{quoted(key)} {operator.value} {quoted(value)}"
    return conditions.ordered(key, operator.value, value)


def _of_list(key: str, operator: FilterOperator, values: Iterable[Any], conditions: Conditions) -> str:
    if operator is FilterOperator.ALL:
        return all_of([conditions.exists(key), *(conditions.equal(key, value) for value in values)])
    found = conditions.among(key, values)
    return negated(found) if operator is FilterOperator.NIN else found
