"""Counting values of a field, against plain Python."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import FilterError
from retrieval.facets import FacetCount
from retrieval.index.metadata.facets import Facet, count_values, field_stats, parse_facet
from retrieval.types import FieldType

SCHEMA = {"topic": FieldType.STRINGS, "year": FieldType.NUMBER, "seen": FieldType.DATES}


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


DAYS = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=12 * i) for i in range(6)]
NUMBERS = [-2.5, 0.0, 1.0, 3.0]


@settings(max_examples=200)
@given(data=st.data(), is_list=st.booleans(), values=st.sampled_from([NUMBERS, DAYS]))
def test_ranges_and_extremes_are_those_of_brute_force(data: st.DataObject, is_list: bool, values: list[Any]) -> None:
    value = st.sampled_from(values)
    rows = data.draw(st.lists(st.tuples(st.none() | (st.lists(value) if is_list else value), st.booleans())))
    edges = tuple(sorted(data.draw(st.sets(value, min_size=1))))
    kind = pa.float64() if values is NUMBERS else pa.timestamp("us", "UTC")
    column = chunked([row for row, _ in rows], pa.list_(kind) if is_list else kind)
    stats = field_stats(column, np.array([match for _, match in rows], dtype=bool), edges)
    present = [row if isinstance(row, list) else [row] for row, match in rows if match and row is not None]
    every = [each for row in present for each in row]
    assert (stats.min, stats.max) == ((min(every), max(every)) if every else (None, None))
    bounds = [None, *edges, None]
    assert [(each.start, each.end) for each in stats.ranges] == list(pairwise(bounds))
    for each in stats.ranges:
        inside = [
            row
            for row in present
            if any((each.start is None or v >= each.start) and (each.end is None or v < each.end) for v in row)
        ]
        assert each.count == len(inside)


@pytest.mark.parametrize("prefix", ["s", "S", "so", "É", "z", ""])
def test_values_by_prefix(prefix: str) -> None:
    values = ["Sony", "samsung", "Samsung", "SONOS", "éclair", None, "Sony"]
    counts = count_values(chunked(values, pa.string()), np.ones(7, bool), prefix=prefix)
    expected = Counter(each for each in values if each is not None and each.lower().startswith(prefix.lower()))
    assert {each.value: each.count for each in counts} == expected


def test_edges_are_read_by_the_type_of_the_field() -> None:
    now = datetime(2024, 5, 8, tzinfo=UTC)
    assert parse_facet("year", SCHEMA) == Facet("year", FieldType.NUMBER)
    assert parse_facet('year [-1, 2.5, "7"]', SCHEMA).edges == (-1.0, 2.5, 7.0)
    days = (datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 5, 7, tzinfo=UTC), now)
    assert parse_facet("seen [now-7d, 2024-05-07, now]", SCHEMA, now) == Facet("seen", FieldType.DATES, days)
    assert parse_facet("odd [1]", {**SCHEMA, "odd [1]": FieldType.STRING}) == Facet("odd [1]", FieldType.STRING)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("text", "facets: unknown field 'text'"),
        ("yaer [1]", "column 1: unknown field 'yaer'; did you mean 'year'?"),
        ("topic [1]", "'topic' is a strings field; ranges need numbers or dates"),
        ("year [a]", "'year' is a number field, so it is compared with a number, not 'a'"),
        ("year [2, 1]", "the edges do not ascend"),
        ("year [2, 2]", "the edges do not ascend"),
        ("year []", "column 7: expected a value"),
        ("year ] 1]", "column 6: expected '[' and a list of values"),
        (f"year [{','.join(map(str, range(101)))}]", "101 edges; at most 100"),
    ],
)
def test_facets_that_cannot_be_used(text: str, words: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_facet(text, SCHEMA)
    assert words in str(caught.value)
