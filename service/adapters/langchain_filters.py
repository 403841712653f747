"""LangChain's filters, as `{"page": {"$gt": 2}}`, in the language of the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retrieval.errors import FilterError
from service.adapters.conditions import MAX_NESTING, Conditions, all_of, any_of, encodable, negated

ORDERS = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
OPERATORS = ("$eq", "$ne", "$in", "$nin", *ORDERS, "$exists")
GROUPS = ("$and", "$or", "$not")


def to_filter(filters: Mapping[str, Any], fields: Mapping[str, str]) -> str:
    """Return a filter as an expression; `fields` are those of the collection.

    Conditions side by side must all hold.  Raises FilterError.
    """
    return encodable(_all(filters, Conditions(fields), 0)) if filters else ""


def _all(filters: Any, conditions: Conditions, depth: int) -> str:
    if not isinstance(filters, Mapping):
        raise FilterError(f'{filters!r}: is no filter; write a dictionary, as {{"page": 2}}')
    if depth > MAX_NESTING:
        raise FilterError(f"the filters are nested more than {MAX_NESTING} deep; simplify them")
    return all_of([_one(str(name), value, conditions, depth) for name, value in filters.items()])


def _one(name: str, value: Any, conditions: Conditions, depth: int) -> str:
    if name == "$not":
        return negated(_all(value, conditions, depth + 1))
    if name in GROUPS:
        if not isinstance(value, list):
            raise FilterError(f"{name}: {value!r} is no list; give a list of filters")
        inner = [_all(each, conditions, depth + 1) for each in value]
        return all_of(inner) if name == "$and" else any_of(inner)
    if name.startswith("$"):
        raise FilterError(f"{name}: is no group of filters; use {', '.join(GROUPS)}, or name a field")
    if isinstance(value, Mapping):
        return all_of([_compared(name, str(operator), each, conditions) for operator, each in value.items()])
    return conditions.equal(name, value)


def _compared(field: str, operator: str, value: Any, conditions: Conditions) -> str:
    if operator not in OPERATORS:
        raise FilterError(f"{field}: there is no operator {operator!r}; use {', '.join(OPERATORS)}")
    if operator in ORDERS:
        return conditions.ordered(field, ORDERS[operator], value)
    if operator == "$exists":
        found = conditions.exists(field)
        return found if value else negated(found)
    if operator in ("$in", "$nin"):
        if not isinstance(value, list | tuple | set):
            raise FilterError(f"{field} {operator}: {value!r} is no list; give a list of values")
        found = conditions.among(field, value)
    else:
        found = conditions.equal(field, value)
    return negated(found) if operator in ("$ne", "$nin") else found
