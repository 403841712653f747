"""Orders by several fields, against plain Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.errors import FilterError
from retrieval.index.metadata.columns import arrow_type
from retrieval.index.metadata.sorting import SortKey, order_by, parse_sort
from retrieval.types import FieldType

SCHEMA = {
    "topic": FieldType.STRING,
    "year": FieldType.NUMBER,
    "draft": FieldType.BOOLEAN,
    "tags": FieldType.STRINGS,
    "odd, name": FieldType.STRING,
}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "topic": st.sampled_from("abc"),
    "year": st.integers(-2, 2).map(float),
    "draft": st.booleans(),
    "odd, name": st.sampled_from(["", "é", "z"]),
}


def columns(documents: list[dict[str, Any]]) -> Callable[[str], pa.ChunkedArray]:
    half = len(documents) // 2

    def column(field: str) -> pa.ChunkedArray:
        kind = arrow_type(SCHEMA[field])
        parts = [[each.get(field) for each in part] for part in (documents[:half], documents[half:])]
        return pa.chunked_array([pa.array(part, kind) for part in parts], kind)

    return column


def brute_force(documents: list[dict[str, Any]], keys: list[SortKey]) -> list[int]:
    """Return positions in order: a stable sort for each key, the last key first."""
    order = list(range(len(documents)))
    for key in reversed(keys):
        values = sorted({each[key.field] for each in documents if key.field in each}, reverse=key.descending)
        places = {value: place for place, value in enumerate(values)}
        order.sort(key=lambda i, key=key, places=places: places.get(documents[i].get(key.field), len(places)))  # type: ignore[misc]
    return order


@given(
    st.lists(st.fixed_dictionaries({}, optional=VALUES), max_size=12),
    st.lists(
        st.builds(SortKey, st.sampled_from(sorted(VALUES)), st.booleans()), min_size=1, unique_by=lambda k: k.field
    ),
)
def test_order_is_that_of_sorted_with_missing_values_last(documents: list[dict[str, Any]], keys: list[SortKey]) -> None:
    text = ",".join(f"{'-' * key.descending}{quoted(key.field)}" for key in keys)
    assert parse_sort(text, SCHEMA) == tuple(keys)
    ranks = order_by(columns(documents), np.arange(len(documents)), tuple(keys))
    assert np.argsort(ranks, kind="stable").tolist() == brute_force(documents, keys)
    same = [tuple(each.get(key.field) for key in keys) for each in documents]
    assert len(set(ranks.tolist())) == len(set(same))


def quoted(name: str) -> str:
    return f'"{name}"' if "," in name else name


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("year", "year"),
        ("odd, name", "odd, name"),
        ("-odd, name", "-odd, name"),
        (' -"odd, name" , year', "-odd, name|year"),
        ("draft,-year,topic", "draft|-year|topic"),
    ],
)
def test_names(text: str, fields: str) -> None:
    assert "|".join(f"{'-' * key.descending}{key.field}" for key in parse_sort(text, SCHEMA)) == fields


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("yaer", "sort: unknown field 'yaer'; did you mean 'year'?"),
        ("year,topci", "unknown field 'topci'; did you mean 'topic'?"),
        ("year,tags", "sort: 'tags' contains lists"),
        ("year,-year", "names a field twice"),
        ("year,", "lacks a name before character 6"),
        (",year", "lacks a name before character 1"),
        ("year,,topic", "lacks a name before character 6"),
        ("-", "lacks a name"),
        ('year,"top', "lacks a name before character 6"),
        ('"odd" name', "unknown field"),
        (",".join(f"f{i}" for i in range(9)), "9 fields; at most 8"),
    ],
)
def test_what_cannot_be_used(text: str, words: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_sort(text, SCHEMA)
    assert words in str(caught.value)
