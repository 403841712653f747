"""What a generation holds, told in counts: its fields with their values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.metadata.facets import count_values
from retrieval.index.metadata.schema import from_scalar
from retrieval.types import FacetCount, FieldType, MetadataValue

COUNTED = frozenset({FieldType.STRING, FieldType.STRINGS, FieldType.BOOLEAN})
MOST_VALUES = 50


@dataclass(frozen=True, slots=True)
class FieldOverview:
    """One metadata field over the live documents; `least` and `most` of numbers and dates, `values` of the others."""

    name: str
    type: FieldType
    documents: int  # that have a value there
    different: int  # values
    values: tuple[FacetCount, ...] = ()
    least: MetadataValue | None = None
    most: MetadataValue | None = None


def overview(reader: IndexReader) -> list[FieldOverview]:
    """All fields, in the schema's order."""
    return [_field(reader, name, kind) for name, kind in reader.schema.items()]


def _field(reader: IndexReader, name: str, kind: FieldType) -> FieldOverview:
    column = reader.column(name)
    live = column.filter(pa.array(reader.live_documents))
    having = pc.greater(pc.list_value_length(live), 0) if kind is FieldType.STRINGS else live.is_valid()
    documents = int(pc.sum(having).as_py() or 0)
    if kind in COUNTED:
        every = count_values(column, reader.live_documents, limit=max(1, len(live)))
        return FieldOverview(name, kind, documents, len(every), every[:MOST_VALUES])
    extremes: Any = pc.min_max(live)
    least, most = (from_scalar(extremes[end]) for end in ("min", "max"))
    return FieldOverview(name, kind, documents, int(pc.count_distinct(live).as_py()), (), least, most)


def countable(reader: IndexReader) -> list[str]:
    """Fields whose values can be counted one by one."""
    return [name for name, kind in reader.schema.items() if kind in COUNTED]


def values_of(
    reader: IndexReader, field: str, documents: np.ndarray[Any, np.dtype[np.int64]]
) -> list[MetadataValue | None]:
    """A field's value for each of `documents`; the first one of a list."""
    taken = reader.column(field).take(pa.array(documents))
    values = [from_scalar(each) for each in taken]
    return [next(iter(value), None) if isinstance(value, tuple | list) else value for value in values]
