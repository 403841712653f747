"""Facet counts of a metadata field."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from retrieval.errors import FilterError
from retrieval.index.metadata.filters import known_field
from retrieval.index.metadata.schema import plain_number
from retrieval.types import Bitmap, FacetCount, FieldType, Schema

MAX_VALUES = 100  # of a facet in an answer


def facet_type(field: str, schema: Schema) -> FieldType:
    """Return the type of a facet's field.  Raises FilterError for an unknown field."""
    return known_field(field, schema, "facets")


def collapse_type(field: str, schema: Schema) -> FieldType:
    """Return the type of a field to collapse by.  Raises FilterError, also for lists."""
    kind = known_field(field, schema, "collapse")
    if kind.is_list:
        raise FilterError(f"collapse: {field!r} contains lists; collapse by a field with single values")
    return kind


def count_values(column: pa.ChunkedArray, matching: Bitmap, *, limit: int = MAX_VALUES) -> tuple[FacetCount, ...]:
    """Count documents per value: the most frequent values first, ties by value.

    column: a field of all documents.  matching: (documents,).  A document counts once for each of its values.  Dates
    count by day (UTC), as `2024-05-01`.
    """
    return most_frequent(value_counts(column, matching), limit)


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
