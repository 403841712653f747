"""Counting values of a field, against plain Python."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.errors import FilterError
from retrieval.index.metadata.facets import count_values, facet_type
from retrieval.types import FacetCount, FieldType

SCHEMA = {"topic": FieldType.STRINGS, "year": FieldType.NUMBER}


def chunked(values: list[Any], kind: pa.DataType) -> pa.ChunkedArray:
    half = len(values) // 2
    return pa.chunked_array([pa.array(values[:half], kind), pa.array(values[half:], kind)], kind)


def test_lists_count_once_a_document() -> None:
    column = chunked([["a", "b", "a"], None, ["b"], []], pa.list_(pa.string()))
    counts = count_values(column, np.array([True, True, True, True]))
    assert counts == (FacetCount("b", 2), FacetCount("a", 1))


def test_only_matching_documents_count() -> None:
    column = chunked([1.0, 1.0, 2.0, None], pa.float64())
    assert count_values(column, np.array([False, True, True, True])) == (FacetCount(1.0, 1), FacetCount(2.0, 1))


def test_dates_count_by_day() -> None:
    column = chunked([datetime(2024, 5, 1, hour, tzinfo=UTC) for hour in (0, 23)], pa.timestamp("us", "UTC"))
    assert count_values(column, np.array([True, True])) == (FacetCount("2024-05-01", 2),)


@given(st.lists(st.tuples(st.sampled_from("abc") | st.none(), st.booleans())))
def test_counts_are_those_of_a_counter(rows: list[tuple[str | None, bool]]) -> None:
    matching = np.array([match for _, match in rows], dtype=bool)
    counts = count_values(chunked([value for value, _ in rows], pa.string()), matching)
    expected = Counter(value for value, match in rows if match and value is not None)
    assert [(each.value, each.count) for each in counts] == sorted(
        expected.items(), key=lambda pair: (-pair[1], pair[0])
    )


def test_fields_that_cannot_be_used() -> None:
    with pytest.raises(FilterError, match="facets: unknown field 'text'"):
        facet_type("text", SCHEMA)
