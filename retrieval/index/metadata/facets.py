"""Facets: a metadata field, counted by its values or in ranges.

brand                    the most frequent values
price [10, 50, 100]      four ranges: below 10, from 10 to below 50, from 50 to below 100, from 100 on
modified [now-7d]        two ranges of dates
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from retrieval.errors import FilterError
from retrieval.facets import Bound, FacetCount, FacetStats, RangeCount
from retrieval.index.metadata.columns import from_scalar
from retrieval.index.metadata.filter_parser import parse_field_values
from retrieval.index.metadata.filters import fitting_values, known_field
from retrieval.index.metadata.moments import Moment
from retrieval.index.metadata.schema import plain_number
from retrieval.types import Bitmap, FieldType, Schema

MAX_VALUES = 100  # of a facet in an answer
MAX_EDGES = 100  # between the ranges of a facet
RANGED = frozenset({FieldType.NUMBER, FieldType.DATE})  # types of fields that have ranges, also of their lists


@dataclass(frozen=True, slots=True)
class Facet:
    """A field to count, by its values or in the ranges between `edges`."""

    field: str
    kind: FieldType
    edges: tuple[Bound, ...] = ()  # ascending

    @property
    def has_stats(self) -> bool:
        """Whether the values have extremes and ranges."""
        return self.kind.element in RANGED


def parse_facet(text: str, schema: Schema, now: datetime | None = None) -> Facet:
    """Return the facet that a text describes; `now` is what `now` means in an edge.

    Raises FilterError for an unknown field and for edges that do not fit the field or do not ascend.
    """
    if text in schema or not text.rstrip().endswith("]"):
        return Facet(text, known_field(text, schema, "facets"))
    try:
        field, values = parse_field_values(text)
        kind = known_field(field, schema, "column 1")
        if kind.element not in RANGED:
            raise FilterError(f"{field!r} is a {kind} field; ranges need numbers or dates")
        fitted = fitting_values(field, values, kind, now or datetime.now(UTC))
    except FilterError as error:
        raise FilterError(f"facets, {text!r}: {str(error).removeprefix('filter, ')}") from None
    edges: Any = tuple(each.start if isinstance(each, Moment) else each for each in fitted)
    if len(edges) > MAX_EDGES:
        raise FilterError(f"facets: {field!r} has {len(edges)} edges; at most {MAX_EDGES} are allowed")
    if any(one >= other for one, other in pairwise(edges)):
        raise FilterError(f"facets, {text!r}: the edges do not ascend; write each once, the least first")
    return Facet(field, kind, edges)


def collapse_type(field: str, schema: Schema) -> FieldType:
    """Return the type of a field to collapse by.  Raises FilterError, also for lists."""
    kind = known_field(field, schema, "collapse")
    if kind.is_list:
        raise FilterError(f"collapse: {field!r} contains lists; collapse by a field with single values")
    return kind


def count_values(
    column: pa.ChunkedArray, matching: Bitmap, *, limit: int = MAX_VALUES, prefix: str = ""
) -> tuple[FacetCount, ...]:
    """Count documents per value: the most frequent values first, ties by value.

    column: a field of all documents.  matching: (documents,).  A document counts once for each of its values.  Dates
    count by day (UTC), as `2024-05-01`.  `prefix` leaves the texts that begin so, in upper or lower case.
    """
    counted = value_counts(column, matching)
    if prefix:
        begin = pc.utf8_lower(pa.scalar(prefix)).as_py()
        counted = counted.filter(pc.starts_with(pc.utf8_lower(counted["value"]), pattern=begin))
    return most_frequent(counted, limit)


def most_frequent(counted: pa.Table, limit: int) -> tuple[FacetCount, ...]:
    """Return the first values of a `value_counts` table, as `count_values` does."""
    order = pc.select_k_unstable(counted, limit, sort_keys=[("count", "descending"), ("value", "ascending")])
    top = counted.take(order)
    values = top["value"]
    if pa.types.is_timestamp(values.type):
        values = pc.strftime(values, format="%Y-%m-%d")
    pairs = zip(values.to_pylist(), top["count"].to_pylist(), strict=True)
    return tuple(FacetCount(plain_number(value), count) for value, count in pairs)


def value_counts(column: pa.ChunkedArray, matching: Bitmap) -> pa.Table:
    """Return the distinct values of matching documents and their counts, unordered."""
    values = _value_per_row(column.filter(pa.array(matching)))
    if pa.types.is_timestamp(values.type):
        values = pc.floor_temporal(values, unit="day")
    counted = pc.value_counts(values.drop_null())
    return pa.table({"value": counted.field("values"), "count": counted.field("counts")})


def _value_per_row(column: pa.ChunkedArray) -> pa.Array:
    """Return all values; a list gives each of its distinct values once."""
    values = column.combine_chunks()
    if not pa.types.is_list(values.type):
        return values
    pairs = pa.table({"document": pc.list_parent_indices(values), "value": pc.list_flatten(values)})
    return pairs.group_by(["document", "value"]).aggregate([]).column("value").combine_chunks()


def field_stats(column: pa.ChunkedArray, matching: Bitmap, edges: tuple[Bound, ...] = ()) -> FacetStats:
    """Return extremes and ranges of numbers or dates over matching documents.

    A document counts once in each range in which it has a value.
    """
    values = column.filter(pa.array(matching)).combine_chunks()
    documents: NDArray[np.int64] = np.arange(len(values), dtype=np.int64)
    if pa.types.is_list(values.type):
        documents, values = pc.list_parent_indices(values).to_numpy(), pc.list_flatten(values)
    extremes: Any = pc.min_max(values)
    least, most = (from_scalar(extremes[end]) for end in ("min", "max"))
    return FacetStats(least, most, _ranges(values, documents, edges) if edges else ())  # type: ignore[arg-type]


def _ranges(values: pa.Array, documents: NDArray[np.int64], edges: tuple[Bound, ...]) -> tuple[RangeCount, ...]:
    present = values.is_valid().to_numpy(zero_copy_only=False)
    bounds = _numbers(pa.array(edges, values.type))
    positions = np.searchsorted(bounds, _numbers(values.drop_null()), side="right")
    number = len(edges) + 1
    positions = np.unique(documents[present] * number + positions) % number  # each document once in a range
    counts = np.bincount(positions, minlength=number).tolist()
    ends = (None, *map(plain_number, edges), None)
    return tuple(RangeCount(start, end, count) for (start, end), count in zip(pairwise(ends), counts, strict=True))


def _numbers(values: pa.Array) -> NDArray[Any]:
    """Return numbers, or dates as whole numbers of microseconds."""
    array: NDArray[Any] = (values.cast(pa.int64()) if pa.types.is_timestamp(values.type) else values).to_numpy()
    return array
