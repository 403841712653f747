"""Facets: how many of the matching documents have each value of a field; and the order that a field gives them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from retrieval.errors import FilterError
from retrieval.index.metadata.filters import known_field
from retrieval.index.metadata.schema import plain_number
from retrieval.types import Bitmap, FacetCount, FieldType, Schema

MAX_VALUES = 100  # of one facet in an answer


def facet_type(field: str, schema: Schema) -> FieldType:
    """The type of a field that can be counted; FilterError for any other."""
    return known_field(field, schema, "facets")


def sort_type(field: str, schema: Schema) -> FieldType:
    """The type of a field that documents can be sorted by; FilterError for any other."""
    kind = known_field(field, schema, "sort")
    if kind is FieldType.STRINGS:
        raise FilterError(
            f"sort: {field!r} holds lists, which have no order; sort by a field with one value a document"
        )
    return kind


def count_values(column: pa.ChunkedArray, matching: Bitmap, *, limit: int = MAX_VALUES) -> tuple[FacetCount, ...]:
    """Documents per value, most frequent first, then by value; dates count by day (UTC), as `2024-05-01`.

    column: a field of all documents; matching: (documents,).  A document counts once for each of its values.
    """
    values = _one_row_a_value(column.filter(pa.array(matching)))
    if pa.types.is_timestamp(values.type):
        values = pc.strftime(values, format="%Y-%m-%d")
    counted = pc.value_counts(values.drop_null())
    pairs = zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True)
    most = sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:limit]
    return tuple(FacetCount(plain_number(value), count) for value, count in most)


def order_by(column: pa.ChunkedArray, documents: NDArray[np.int64], *, descending: bool) -> NDArray[np.int64]:
    """Ranks of `documents` by their value, (n,): equal values have equal ranks, documents without one the last."""
    values = column.take(pa.array(documents)).combine_chunks()
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.uint8())
    ranks = pc.rank(values, sort_keys="descending" if descending else "ascending", tiebreaker="dense")
    return np.asarray(ranks.to_numpy(), dtype=np.int64)


def _one_row_a_value(column: pa.ChunkedArray) -> pa.Array:
    """All values, those of lists one by one and each once a document."""
    values = column.combine_chunks()
    if not pa.types.is_list(values.type):
        return values
    pairs = pa.table({"document": pc.list_parent_indices(values), "value": pc.list_flatten(values)})
    return pairs.group_by(["document", "value"]).aggregate([]).column("value").combine_chunks()
