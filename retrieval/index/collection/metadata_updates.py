"""New metadata for documents of a segment, whose files never change.

The files `updates/000043-….arrow` of a segment have a row for each document that got new metadata; of two rows for one
document, that of the later file counts.  Text, vectors and postings of the document stay as they are.  A merge writes
the new values into the merged segment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import ipc

from retrieval.index.collection.document_ids import Digests
from retrieval.index.collection.document_store import BATCH_ROWS, GIVEN, Table
from retrieval.index.metadata.columns import to_columns
from retrieval.index.storage.checksums import CheckedFile
from retrieval.index.storage.manifest import UPDATES, SegmentRecord
from retrieval.types import Bitmap, Document, Rows, Schema

Columns = Mapping[str, pa.Array]  # (n,) each, by name

_OWN_COLUMNS = ("document", "content_high", "content_low", GIVEN)  # those of metadata follow, under any name


@dataclass(frozen=True, slots=True)
class MetadataUpdates:
    """The new metadata of some documents of a segment."""

    rows: Rows  # (n,), ascending
    contents: Digests  # (n, 2), of the documents with their new metadata
    given: pa.Array  # (n,) texts, see Document.given
    metadata: Columns  # a document without a value has null

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def of(cls, rows: Rows, documents: Sequence[Document], contents: Digests, schema: Schema) -> MetadataUpdates:
        """Return updates of document rows; `documents` have typed metadata."""
        order = np.argsort(rows)
        ordered = [documents[position] for position in order.tolist()]
        given = pa.array([document.given for document in ordered], pa.large_string())
        columns = to_columns([document.metadata for document in ordered], schema)
        return cls(rows[order], contents[order], given, dict(zip(schema, columns, strict=True)))

    def take(self, positions: NDArray[np.int64]) -> MetadataUpdates:
        """Return the updates at ascending positions."""
        metadata = {name: column.take(positions) for name, column in self.metadata.items()}
        return MetadataUpdates(self.rows[positions], self.contents[positions], self.given.take(positions), metadata)

    def moved(self, kept: Bitmap, first_row: int) -> MetadataUpdates:
        """Return those of kept documents, which get new rows from `first_row` on."""
        new_rows = first_row + np.cumsum(kept) - 1
        found = self.take(np.flatnonzero(kept[self.rows]))
        return MetadataUpdates(new_rows[found.rows], found.contents, found.given, found.metadata)


def join_updates(parts: Sequence[MetadataUpdates]) -> MetadataUpdates | None:
    """Return updates as one; the last one of a document counts.  None for no parts."""
    if len(parts) < 2:
        return parts[0] if parts else None
    rows = np.concatenate([part.rows for part in parts])
    _, from_end = np.unique(rows[::-1], return_index=True)
    joined = MetadataUpdates(
        rows,
        np.concatenate([part.contents for part in parts]),
        pa.concat_arrays([part.given for part in parts]),
        _joined_columns(parts),
    )
    return joined.take(len(rows) - 1 - from_end)


def encode_updates(updates: MetadataUpdates) -> bytes:
    """Return updates as the bytes of an Arrow file."""
    own = [pa.array(updates.rows, pa.uint32()), *(pa.array(word) for word in updates.contents.T), updates.given]
    arrays = [*own, *updates.metadata.values()]
    batch = pa.RecordBatch.from_arrays(arrays, names=[*_OWN_COLUMNS, *updates.metadata])
    sink = pa.BufferOutputStream()
    with ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def read_updates(file: CheckedFile, documents: int) -> MetadataUpdates:
    """Return the updates of a segment of so many documents.  Raises CorruptCollection."""
    file.require()
    try:
        with ipc.open_file(pa.BufferReader(pa.py_buffer(file.bytes))) as reader:
            batch = reader.get_batch(0)
        rows, high, low, given, *columns = batch.columns
        names = batch.schema.names[len(_OWN_COLUMNS) :]
        contents = np.stack([np.from_dlpack(high), np.from_dlpack(low)], axis=1)
        updates = MetadataUpdates(
            np.from_dlpack(rows).astype(np.int64), contents, given, dict(zip(names, columns, strict=True))
        )
    except (pa.ArrowException, OSError, ValueError) as error:
        raise file.damage(f"has no updates of metadata ({error})") from error
    if not len(updates) or np.any(np.diff(updates.rows, prepend=-1) <= 0) or updates.rows[-1] >= documents:
        raise file.damage(f"updates other documents than the {documents} of its segment")
    return updates


def read_all_updates(collection: Path, segment: SegmentRecord) -> MetadataUpdates | None:
    """Return the updates of a segment; None if it has none.  Raises CorruptCollection."""
    files = [CheckedFile(collection / UPDATES, each.file) for each in segment.updates]
    return join_updates([read_updates(file, segment.documents) for file in files])


class UpdatedTable(Table):
    """A table of documents with new values in some rows of some columns."""

    def __init__(self, base: Table, documents: int, rows: Rows, columns: Columns) -> None:
        # A table without columns has no batches.
        whole = np.append(np.arange(0, documents, BATCH_ROWS), documents)
        super().__init__(base.first_rows if base.schema.names else whole)
        self._base = base
        self._rows = rows
        self._new = columns
        added = [pa.field(name, column.type) for name, column in columns.items() if name not in base.schema.names]
        self._schema = pa.schema([*base.schema, *added])
        self._batches: dict[int, pa.RecordBatch] = {}

    @property
    def schema(self) -> pa.Schema:
        return self._schema

    def batch(self, number: int) -> pa.RecordBatch:
        if number not in self._batches:
            self._batches[number] = self._updated(number)
        return self._batches[number]

    def _updated(self, number: int) -> pa.RecordBatch:
        first, last = self.first_rows[number : number + 2].tolist()
        start, stop = self._rows.searchsorted([first, last]).tolist()
        base = self._base.batch(number) if self._base.schema.names else None
        chosen = np.arange(last - first)
        chosen[self._rows[start:stop] - first] = last - first + np.arange(stop - start)
        arrays = []
        for field in self._schema:
            old = base.column(field.name) if base and field.name in base.schema.names else _missing(field, last - first)
            if field.name in self._new:
                old = pa.concat_arrays([old, self._new[field.name].slice(start, stop - start)]).take(pa.array(chosen))
            arrays.append(old)
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)


def with_updates(documents: Table, metadata: Table, updates: MetadataUpdates) -> tuple[UpdatedTable, UpdatedTable]:
    """Return the tables of documents and of metadata with the updates."""
    count = len(documents)
    known = {field.name: pa.nulls(len(updates), field.type) for field in metadata.schema}  # for a field they lack
    return (
        UpdatedTable(documents, count, updates.rows, {GIVEN: updates.given}),
        UpdatedTable(metadata, count, updates.rows, {**known, **updates.metadata}),
    )


def _missing(field: pa.Field, count: int) -> pa.Array:
    """Return a column that a table lacks: nulls, or no text for `given`, a large text."""
    return pa.array([""] * count, field.type) if pa.types.is_large_string(field.type) else pa.nulls(count, field.type)


def _joined_columns(parts: Sequence[MetadataUpdates]) -> dict[str, pa.Array]:
    """Concatenate columns by name; a missing one has nulls."""
    kinds = {name: column.type for part in parts for name, column in part.metadata.items()}
    return {
        name: pa.concat_arrays([part.metadata.get(name, pa.nulls(len(part), kind)) for part in parts])
        for name, kind in kinds.items()
    }
