"""Distances and boxes, against plain Python."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import FilterError
from retrieval.index.metadata.columns import arrow_type
from retrieval.index.metadata.filters import compile_filter
from retrieval.index.metadata.geo import EARTH_RADIUS_M, PASSES, distances_m
from retrieval.types import FieldType, Rows
from retrieval.util.work_budget import WorkBudget

NUMBER, NUMBERS = FieldType.NUMBER, FieldType.NUMBERS
SCHEMA = {
    "at.lat": NUMBER,
    "at.lon": NUMBER,
    "shops.latitude": NUMBERS,
    "shops.longitude": NUMBERS,
    "bad.lat": NUMBER,
    "bad.lng": FieldType.STRING,
    "name": FieldType.STRING,
}
LATITUDES = st.sampled_from([-90.0, -89.5, -45.0, 0.0, 0.25, 52.5, 90.0]) | st.floats(-90, 90)
LONGITUDES = st.sampled_from([-180.0, -179.5, -13.4, 0.0, 0.25, 13.4, 179.5, 180.0]) | st.floats(-180, 180)
POINTS = st.tuples(LATITUDES, LONGITUDES)


def columns(documents: list[list[tuple[float, float]] | None]) -> Callable[[str], pa.ChunkedArray]:
    """Return columns of documents with a list of points, or with the first one, or without any."""

    def column(field: str) -> pa.ChunkedArray:
        name, _, part = field.partition(".")
        side = 0 if part.startswith("lat") else 1
        lists = [each and [point[side] for point in each] for each in documents]
        values: list[Any] = lists if name == "shops" else [each[0] if each else None for each in lists]
        kind = arrow_type(SCHEMA[field])
        half = len(values) // (2 + side)  # chunks of the two fields need not agree
        return pa.chunked_array([pa.array(values[:half], kind), pa.array(values[half:], kind)], kind)

    return column


def distance(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return the distance in metres, by the angle between two vectors."""

    def vector(point: tuple[float, float]) -> tuple[float, float, float]:
        latitude, longitude = map(math.radians, point)
        return (
            math.cos(latitude) * math.cos(longitude),
            math.cos(latitude) * math.sin(longitude),
            math.sin(latitude),
        )

    (a, b, c), (d, e, f) = vector(one), vector(other)
    cross = math.hypot(b * f - c * e, c * d - a * f, a * e - b * d)
    return EARTH_RADIUS_M * math.atan2(cross, a * d + b * e + c * f)


def no_rows(ids: Sequence[str]) -> Rows:
    """The rows of ids: these documents have none."""
    del ids
    return np.empty(0, np.int64)


def matching(expression: str, documents: list[list[tuple[float, float]] | None]) -> list[bool]:
    compiled = compile_filter(expression, SCHEMA)
    found: list[bool] = compiled.documents(columns(documents), len(documents), no_rows).tolist()
    return found


@settings(max_examples=200)
@given(
    documents=st.lists(st.none() | st.lists(POINTS, max_size=3), max_size=8),
    centre=POINTS,
    metres=st.sampled_from([0.5, 300.0, 5_000.0, 1e6, 1e7, 3e7]) | st.floats(1, 2.1e7),
    operator=st.sampled_from(["<", "<=", ">", ">="]),
    field=st.sampled_from(["at", "shops"]),
)
def test_distances_are_those_of_brute_force(
    documents: list[list[tuple[float, float]] | None],
    centre: tuple[float, float],
    metres: float,
    operator: str,
    field: str,
) -> None:
    found = matching(f"near({field}, {centre[0]!r}, {centre[1]!r}) {operator} {metres:f}m", documents)
    compared = float(f"{metres:f}")
    for is_found, points in zip(found, documents, strict=True):
        distances = [distance(centre, each) for each in (points or [])[: None if field == "shops" else 1]]
        if any(abs(each - compared) < 0.2 for each in distances):
            continue  # rounding decides
        assert is_found == any(each < compared if "<" in operator else each > compared for each in distances)


@settings(max_examples=200)
@given(
    documents=st.lists(st.none() | st.lists(POINTS, max_size=3), max_size=8),
    corners=st.tuples(POINTS, POINTS),
    field=st.sampled_from(["at", "shops"]),
)
def test_boxes_are_those_of_brute_force(
    documents: list[list[tuple[float, float]] | None],
    corners: tuple[tuple[float, float], tuple[float, float]],
    field: str,
) -> None:
    (one, west), (other, east) = corners
    south, north = sorted((one, other))

    def inside(point: tuple[float, float]) -> bool:
        sides = [point[1], *([180.0, -180.0] if abs(point[1]) == 180.0 else [])]
        around = [west <= each <= east if west <= east else each >= west or each <= east for each in sides]
        return south <= point[0] <= north and any(around)

    found = matching(f"box({field}, {south!r}, {west!r}, {north!r}, {east!r})", documents)
    for is_found, points in zip(found, documents, strict=True):
        known = (points or [])[: None if field == "shops" else 1]
        assert is_found == any(map(inside, known))


def test_known_distances() -> None:
    berlin, paris = (52.5200, 13.4050), (48.8566, 2.3522)
    [metres] = distances_m(*berlin, *(np.array([each]) for each in paris))
    assert metres == pytest.approx(877_500, rel=1e-3)
    assert matching("near(at, 52.52, 13.405) < 878km", [[paris], None]) == [True, False]
    assert matching("near(at, 52.52, 13.405) < 545 mi", [[paris]]) == [False]
    assert matching("NOT near(at, 52.52, 13.405) > 1km", [[berlin], None]) == [True, True]
    assert matching("NEAR(at, 0, -179.9) <= 23KM AND box(at, -1, 179, 1, -179)", [[(0.0, 179.9)]]) == [True]


def test_positions_that_are_none_match_nothing() -> None:
    for point in ((91.0, 0.0), (math.nan, 0.0), (0.0, math.inf)):
        assert matching(
            "near(at, 0, 0) < 99999km OR near(at, 0, 0) > 0m OR box(at, -90, -180, 90, 180)", [[point]]
        ) == [False]
    lists = {"shops.latitude": [[1.0, 2.0], [1.0]], "shops.longitude": [[1.0], [1.0]]}
    found = compile_filter("near(shops, 1, 1) < 1m", SCHEMA).documents(
        lambda name: pa.chunked_array([pa.array(lists[name])]), 2, no_rows
    )
    assert found.tolist() == [False, True]


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        (
            "near(home, 1, 2) < 5km",
            "'home' has no positions, because the collection has no fields home.lat and home.lon",
        ),
        ("near(home, 1, 2) < 5km", "those with positions are 'at', 'bad', 'shops'"),
        ("near(bad, 1, 2) < 5km", "'bad.lat' is a number field and 'bad.lng' a string field"),
        ("near(at, 91, 2) < 5km", "column 10: the latitude is 91; give -90 to 90"),
        ("near(at, 1, 200) < 5km", "the longitude is 200; give -180 to 180"),
        ("near(at, 1) < 5km", "expected ',' and a longitude, found ')'"),
        ("near(at, 1, x) < 5km", "expected a longitude in degrees, found 'x'"),
        ("near(at, 1, 2) < 5", "and a distance such as 5km, 300m or 2mi, found '5'"),
        ("near(at, 1, 2) = 5km", "expected <, <=, > or >= and a distance"),
        ("near(at, 1, 2)", "expected <, <=, > or >="),
        ("near at", "expected a comparison"),
        ("box(at, 2, 0, 1, 0)", "the south of the box, 2, is above its north, 1"),
        ("box(at, 1, 2, 3)", "expected ',' and a longitude"),
        ("name = 5km", "expected a value"),
    ],
)
def test_what_cannot_be_used(expression: str, words: str) -> None:
    with pytest.raises(FilterError) as caught:
        compile_filter(expression, SCHEMA)
    assert words in str(caught.value)


def test_near_and_box_stay_names_of_fields() -> None:
    schema = {"near": FieldType.BOOLEAN, "box": FieldType.STRING}
    values = {"near": pa.chunked_array([[True]]), "box": pa.chunked_array([["near"]])}
    assert compile_filter("near AND (near) AND box = near", schema).documents(
        values.__getitem__, 1, no_rows
    ).tolist() == [True]


def test_a_position_counts_as_several_values() -> None:
    budget = WorkBudget()
    with budget.applied():
        compile_filter("near(at, 1, 2) < 5km", SCHEMA).documents(columns([None] * 6), 6, no_rows)
    assert budget.spent_filter_values == 6 * PASSES
