"""Overview of a generation: its metadata fields, and a map of its vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from retrieval.facets import FacetCount
from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.metadata.columns import from_scalar
from retrieval.index.metadata.facets import most_frequent, value_counts
from retrieval.types import FieldType, MetadataValue, Rows

COUNTED = frozenset({FieldType.STRING, FieldType.BOOLEAN})  # also in lists
MAX_VALUES = 50  # of a field
SAMPLE = 2_000  # passages of a map


@dataclass(frozen=True, slots=True)
class FieldOverview:
    """One metadata field over the live documents."""

    name: str
    type: FieldType
    documents: int  # with a value in this field
    different: int  # number of distinct values
    values: tuple[FacetCount, ...] = ()  # the most frequent first; none for numbers and dates
    least: MetadataValue | None = None  # of numbers and dates
    most: MetadataValue | None = None


def overview(reader: IndexReader) -> list[FieldOverview]:
    """Return all fields, in the schema's order."""
    return [_field_overview(reader, name, kind) for name, kind in reader.schema.items()]


def _field_overview(reader: IndexReader, name: str, kind: FieldType) -> FieldOverview:
    column = reader.column(name)
    found = reader.found_documents()
    live = column.filter(pa.array(found))
    has_value = pc.greater(pc.list_value_length(live), 0) if kind.is_list else live.is_valid()
    documents = int(pc.sum(has_value).as_py() or 0)
    if kind.element in COUNTED:
        counts = value_counts(column, found)
        return FieldOverview(name, kind, documents, len(counts), most_frequent(counts, MAX_VALUES))
    values = pc.list_flatten(live) if kind.is_list else live
    extremes: Any = pc.min_max(values)
    least, most = (from_scalar(extremes[end]) for end in ("min", "max"))
    return FieldOverview(name, kind, documents, int(pc.count_distinct(values).as_py()), (), least, most)


def countable_fields(reader: IndexReader) -> list[str]:
    return [name for name, kind in reader.schema.items() if kind.element in COUNTED]


def field_values(reader: IndexReader, field: str, documents: Rows) -> list[MetadataValue | None]:
    """Return a field's value for each of `documents`; of a list, its first element."""
    values = [from_scalar(each) for each in reader.column(field).take(pa.array(documents))]
    return [next(iter(value), None) if isinstance(value, tuple | list) else value for value in values]


@dataclass(frozen=True, slots=True)
class Projection:
    """Passage rows and their positions: x and y from 0 to 1."""

    rows: Rows
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    explained: tuple[float, float]  # share of the variance along x and along y


def project(reader: IndexReader, sample: int = SAMPLE, seed: int = 0) -> Projection:
    """Project a sample of the live passages onto two principal components."""
    rows = np.flatnonzero(reader.live).astype(np.int64)
    if len(rows) > sample:
        rows = np.sort(np.random.default_rng(seed).choice(rows, sample, replace=False))
    positions, explained = principal_components(_vectors(reader, rows))
    if len(rows):
        low, high = positions.min(0), positions.max(0)
        positions = (positions - low) / np.where(high > low, high - low, 1)
    x, y = positions.T.astype(np.float32)
    return Projection(rows, x, y, explained)


def principal_components(vectors: NDArray[np.float32]) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Project (n, d) vectors onto their two directions of most variance.

    Return the positions, (n, 2), and the share of variance along each direction.  The largest entry of a direction is
    positive, so that equal vectors give equal maps.
    """
    if len(vectors) < 2:
        return np.zeros((len(vectors), 2)), (0.0, 0.0)
    centred = (vectors - vectors.mean(0)).astype(np.float64)
    variances, directions = np.linalg.eigh(centred.T @ centred)
    first_two = directions[:, [-1, -2]]
    first_two = first_two * np.sign(first_two[np.abs(first_two).argmax(0), [0, 1]])
    total = float(variances.sum()) or 1.0
    return centred @ first_two, (float(variances[-1] / total), float(variances[-2] / total))


def _vectors(reader: IndexReader, rows: Rows) -> NDArray[np.float32]:
    parts = []
    start = 0
    for segment in reader.segments:
        own_rows = rows[(rows >= start) & (rows < start + len(segment.vectors))] - start
        parts.append(segment.vectors[own_rows].astype(np.float32))
        start += len(segment.vectors)
    return np.concatenate(parts) if parts else np.empty((0, reader.manifest.encoder.dimension), np.float32)
