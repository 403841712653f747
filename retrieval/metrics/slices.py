"""Groups of queries to look at separately: by length, or by a field of the query's record."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from retrieval.errors import InputError
from retrieval.metrics.runs import Topic

LENGTH = "length"  # the slice that every query has: characters of its text
MOST_GROUPS = 12
NO_VALUE = "(none)"


def slice_topics(topics: Sequence[Topic], by: str) -> Mapping[str, frozenset[str]]:
    """Label → ids of queries.  Numbers are cut in three groups of about equal size; other values are groups.

    Raises InputError for a field that no query has.
    """
    if by == LENGTH:
        return _thirds(topics, lambda topic: float(len(topic.text)), "characters")
    fields = sorted({name for topic in topics for name in topic.attributes})
    if by not in fields:
        raise InputError(f"queries have no field {by!r} to slice by; there is: {', '.join([LENGTH, *fields])}")
    values = {topic.id: topic.attributes.get(by, NO_VALUE) for topic in topics}
    distinct = sorted(set(values.values()))
    if len(distinct) > MOST_GROUPS:
        if all(_is_number(value) for value in distinct):
            return _thirds(topics, lambda topic: float(topic.attributes[by]), by)
        raise InputError(f"field {by!r} has {len(distinct)} values; a slice has at most {MOST_GROUPS}")
    return {value: frozenset(query for query, own in values.items() if own == value) for value in distinct}


def _thirds(topics: Sequence[Topic], size: Callable[[Topic], float], unit: str) -> dict[str, frozenset[str]]:
    sizes = {topic.id: size(topic) for topic in topics}
    low, high = np.quantile(list(sizes.values()), [1 / 3, 2 / 3])
    groups = {
        f"to {low:g} {unit}": {query for query, own in sizes.items() if own <= low},
        f"to {high:g} {unit}": {query for query, own in sizes.items() if low < own <= high},
        f"over {high:g} {unit}": {query for query, own in sizes.items() if own > high},
    }
    return {label: frozenset(queries) for label, queries in groups.items() if queries}


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
