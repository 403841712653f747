"""Positions on the Earth in filters: distances to a point, and boxes.

A position is an object with a latitude and a longitude in degrees: `{"location": {"lat": 52.5, "lon": 13.4}}`.  It is
stored as two fields of numbers, `location.lat` and `location.lon`; objects in a list are stored as two fields of lists.
No index is needed: all positions are compared.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from retrieval.errors import FilterError
from retrieval.index.metadata.filter_nodes import GeoBox, GeoCondition, GeoDistance
from retrieval.types import Bitmap, FieldType, Schema

EARTH_RADIUS_M = 6_371_008.8  # mean radius (IUGG)
PASSES = 16  # over a field of text take as long as one over positions
COORDINATES = (("lat", "lon"), ("lat", "lng"), ("latitude", "longitude"))  # names of the fields of a position
_SLACK = 1 + 1e-9  # beyond rounding

Numbers = NDArray[np.float64]


def position_fields(node: GeoCondition, schema: Schema) -> tuple[str, str]:
    """Return the fields of latitude and longitude.

    Raises FilterError if the schema has no such fields of numbers.
    """
    for names in COORDINATES:
        latitude, longitude = (f"{node.field}.{name}" for name in names)
        if latitude in schema and longitude in schema:
            kinds = {schema[latitude], schema[longitude]}
            if len(kinds) == 1 and kinds <= {FieldType.NUMBER, FieldType.NUMBERS}:
                return latitude, longitude
            raise FilterError(
                f"filter, column {node.column}: {latitude!r} is a {schema[latitude]} field and {longitude!r} a "
                f"{schema[longitude]} field; positions need two fields of numbers"
            )
    known = _fields_with_positions(schema)
    hint = "those with positions are " + ", ".join(map(repr, known)) if known else "no field has positions"
    raise FilterError(
        f"filter, column {node.column}: {node.field!r} has no positions, because the collection has no fields "
        f"{node.field}.lat and {node.field}.lon ({hint}); "
        f'index documents with "{node.field}": {{"lat": 52.5, "lon": 13.4}}'
    )


def _fields_with_positions(schema: Schema) -> list[str]:
    found = {
        name.removesuffix(f".{latitude}"): None
        for latitude, longitude in COORDINATES
        for name in schema
        if name.endswith(f".{latitude}") and f"{name.removesuffix(latitude)}{longitude}" in schema
    }
    return sorted(found)


def matching_positions(node: GeoCondition, latitude: pa.ChunkedArray, longitude: pa.ChunkedArray) -> Bitmap:
    """Return the documents with a position that matches, (n,).

    A document whose lists differ in length has no positions.
    """
    documents, latitudes, longitudes = _positions(latitude.combine_chunks(), longitude.combine_chunks())
    if isinstance(node, GeoBox):
        matching = _in_box(node, latitudes, longitudes)
    else:
        matching = _at_distance(node, latitudes, longitudes)
    found = np.zeros(len(latitude), np.bool_)
    found[documents[matching]] = True
    return found


def _positions(latitude: pa.Array, longitude: pa.Array) -> tuple[NDArray[np.int64], Numbers, Numbers]:
    """Return the document, the latitude and the longitude of each position."""
    if pa.types.is_list(latitude.type):
        lengths = [_array(pc.list_value_length(each).fill_null(0)) for each in (latitude, longitude)]
        same = np.flatnonzero(lengths[0] == lengths[1])
        latitude, longitude = (each.take(pa.array(same)) for each in (latitude, longitude))
        documents = same[_array(pc.list_parent_indices(latitude))]
        latitude, longitude = pc.list_flatten(latitude), pc.list_flatten(longitude)
    else:
        documents = np.arange(len(latitude), dtype=np.int64)
    latitudes, longitudes = (_array(each.fill_null(np.nan)) for each in (latitude, longitude))
    known = (np.abs(latitudes) <= 90.0) & np.isfinite(longitudes)
    return documents[known], latitudes[known], longitudes[known]


def _array(values: pa.Array) -> NDArray[Any]:
    array: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return array


def _in_box(box: GeoBox, latitudes: Numbers, longitudes: Numbers) -> Bitmap:
    """Return the positions from west eastwards to east, edges included."""
    around = np.where(np.abs(longitudes) > 180.0, (longitudes + 180.0) % 360.0 - 180.0, longitudes)
    other = np.where(np.abs(around) == 180.0, -around, around)  # the 180th meridian has two numbers
    between = _between(box, around) | _between(box, other)
    inside: Bitmap = (latitudes >= box.south) & (latitudes <= box.north) & between
    return inside


def _between(box: GeoBox, longitudes: Numbers) -> Bitmap:
    from_west, to_east = longitudes >= box.west, longitudes <= box.east
    return from_west & to_east if box.west <= box.east else from_west | to_east


def _at_distance(node: GeoDistance, latitudes: Numbers, longitudes: Numbers) -> Bitmap:
    """Return the positions whose distance compares as the node says."""
    is_near = node.operator in ("<", "<=")
    found = np.full(len(latitudes), not is_near, np.bool_)
    degrees = np.degrees(node.metres / EARTH_RADIUS_M) * _SLACK
    close = np.flatnonzero(np.abs(latitudes - node.latitude) <= degrees)  # all others are farther away
    distances = distances_m(node.latitude, node.longitude, latitudes[close], longitudes[close])
    compare = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}[node.operator]
    found[close] = compare(distances, node.metres)
    return found


def distances_m(latitude: float, longitude: float, latitudes: Numbers, longitudes: Numbers) -> Numbers:
    """Return distances from a point on a sphere in metres, by the haversine formula."""
    from_latitude, to_latitudes = np.radians(latitude), np.radians(latitudes)
    squares = (
        np.sin((to_latitudes - from_latitude) / 2) ** 2
        + np.cos(from_latitude) * np.cos(to_latitudes) * np.sin(np.radians(longitudes - longitude) / 2) ** 2
    )
    distances: Numbers = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(squares, 1.0)))
    return distances
