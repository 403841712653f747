"""Documents, passages and metadata as Arrow IPC files: written batch by batch, memory-mapped, read by row.

Any Arrow reader opens them.  Beside the files stands one table of their batches (first row and first byte), so that
only the batch that holds a row is checked against its digests and read.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from enum import IntEnum
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import ipc

from retrieval.index.metadata.schema import arrow_schema, from_scalar, to_columns
from retrieval.index.storage.checksums import CheckedFile
from retrieval.types import Document, Metadata, Passage, Rows, Schema
from retrieval.util.arrays import segment_of_row
from retrieval.util.files import Files, writing

BATCH_BYTES = 1 << 20  # of text; a batch is what one look-up checks and reads
BATCH_ROWS = 1 << 14
_TAIL_BYTES = 10  # length of the footer (4), magic (6)

_DOCUMENTS = pa.schema([("id", pa.large_string()), ("title", pa.large_string()), ("text", pa.large_string())])
_PASSAGES = pa.schema(
    [
        ("key", pa.uint64()),
        ("document", pa.uint32()),
        ("start", pa.uint32()),
        ("end", pa.uint32()),
        ("location", pa.large_string()),
        ("heading", pa.large_string()),
    ]
)


class Table(IntEnum):
    """The Arrow files of a segment; the number stands in the table of batches."""

    DOCUMENTS = 0
    METADATA = 1
    PASSAGES = 2

    @property
    def file_name(self) -> str:
        return f"{self.name.lower()}.arrow"


Keys: TypeAlias = NDArray[np.uint64]  # permanent serial numbers of passages, ascending

BATCHES = np.dtype(
    [("table", "<u1"), ("row", "<u8"), ("byte", "<u8")]
)  # end of each batch, after a first entry of zeros


def passage_text(title: str, heading: str, text: str) -> str:
    """What the encoder reads for a passage: its non-empty parts, joined by one space (BEIR's convention)."""
    return " ".join(part for part in (title, heading, text) if part)


def documents_batch(documents: Sequence[Document]) -> pa.RecordBatch:
    """Documents as rows of `documents.arrow`."""
    columns = ([each.id for each in documents], [each.title for each in documents], [each.text for each in documents])
    return pa.RecordBatch.from_arrays([pa.array(column, pa.large_string()) for column in columns], schema=_DOCUMENTS)


def metadata_batch(rows: Sequence[Metadata], schema: Schema) -> pa.RecordBatch:
    """Typed metadata as rows of `metadata.arrow`."""
    return pa.RecordBatch.from_arrays(to_columns(rows, schema), schema=arrow_schema(schema))


def passages_batch(keys: Keys, documents: Rows, passages: Sequence[Passage]) -> pa.RecordBatch:
    """Passages as rows of `passages.arrow`; `documents` are the rows of their documents in the same segment."""
    columns: list[Any] = [
        keys,
        documents,
        [each.start for each in passages],
        [each.end for each in passages],
        [each.location for each in passages],
        [each.heading for each in passages],
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, _PASSAGES, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=_PASSAGES)


def coalesced(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of about the usual size."""
    waiting: list[pa.RecordBatch] = []
    rows = size_bytes = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        size_bytes += batch.nbytes
        if rows >= BATCH_ROWS or size_bytes >= BATCH_BYTES:
            yield pa.concat_batches(waiting)
            waiting, rows, size_bytes = [], 0, 0
    if waiting:
        yield pa.concat_batches(waiting)


class TextWriter:
    """Writes the Arrow files of one new segment; rows are numbered in the order of writing."""

    def __init__(self, folder: Path, files: Files) -> None:
        self._folder = folder
        self._files = files
        self._open = ExitStack()
        self._sinks: dict[Table, BinaryIO] = {}
        self._writers: dict[Table, ipc.RecordBatchFileWriter] = {}
        self._rows = dict.fromkeys(Table, 0)
        self._batches: list[tuple[int, int, int]] = []

    def write(self, table: Table, batch: pa.RecordBatch) -> None:
        """Append a batch; its schema must be that of the first one."""
        if table not in self._writers:
            self._start(table, batch.schema)
        if batch.num_rows:
            self._writers[table].write_batch(batch)
            self._rows[table] += batch.num_rows
            self._batches.append((table, self._rows[table], self._sinks[table].tell()))

    def _start(self, table: Table, schema: pa.Schema) -> None:
        sink = self._open.enter_context(writing(self._files, self._folder / table.file_name))
        self._sinks[table] = sink
        self._writers[table] = ipc.new_file(sink, schema)
        self._batches.append((table, 0, 0))

    def finish(self) -> NDArray[np.void]:
        """End and fsync the files; returns the table of their batches."""
        for writer in self._writers.values():
            writer.close()
        self._open.close()
        return np.array(sorted(self._batches), dtype=BATCHES)

    def abandon(self) -> None:
        """Close the files as they are."""
        stop = GeneratorExit()
        self._open.__exit__(type(stop), stop, None)


class TableReader:
    """Random access to the rows of one Arrow file.  Safe to use from several threads."""

    def __init__(self, file: CheckedFile, batches: NDArray[np.void]) -> None:
        self._file = file
        self._first_rows = batches["row"].astype(np.int64)
        self._bytes = batches["byte"].astype(np.int64)
        self._reader = self._open()
        self._batches: dict[int, pa.RecordBatch] = {}
        self._columns: dict[tuple[int, str], pa.Array] = {}  # of batches that were read
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return int(self._first_rows[-1])

    @property
    def schema(self) -> pa.Schema:
        return self._reader.schema

    def _open(self) -> ipc.RecordBatchFileReader:
        """Check the footer, then let Arrow read it."""
        size = self._file.record.size_bytes
        self._file.require(max(0, size - _TAIL_BYTES))
        tail = bytes(memoryview(self._file.bytes)[size - _TAIL_BYTES :])
        self._file.require(max(0, size - _TAIL_BYTES - int.from_bytes(tail[:4], "little")))
        try:
            return ipc.open_file(pa.BufferReader(pa.py_buffer(self._file.bytes)))
        except (pa.ArrowInvalid, OSError) as error:
            raise self._file.damage(f"is not an Arrow file ({error})") from error

    def batch(self, number: int) -> pa.RecordBatch:
        """A batch, checked before it is read."""
        with self._lock:
            if number not in self._batches:
                self._file.require(int(self._bytes[number]), int(self._bytes[number + 1]))
                self._batches[number] = self._reader.get_batch(number)
            return self._batches[number]

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All batches in order."""
        for number in range(len(self._first_rows) - 1):
            yield self.batch(number)

    def column(self, name: str) -> pa.ChunkedArray:
        """One whole column."""
        kind = self.schema.field(name).type
        return pa.chunked_array([batch.column(name) for batch in self.batches()], kind)

    def numbers(self, name: str) -> NDArray[Any]:
        """One whole column of numbers without nulls.  (Arrow's own conversion would import pandas where it is.)"""
        parts = [np.from_dlpack(batch.column(name)) for batch in self.batches()]
        return np.concatenate(parts) if parts else np.empty(0, self.schema.field(name).type.to_pandas_dtype())

    def values(self, names: Sequence[str], rows: Rows) -> list[list[Any]]:
        """Cells of some columns, each in the order of `rows`."""
        if not names:  # a table without columns has no batches
            return []
        numbers = segment_of_row(rows, self._first_rows)
        inside = (rows - self._first_rows[numbers]).tolist()
        places = list(zip(numbers.tolist(), inside, strict=True))
        return [self._cells(name, places) for name in names]

    def _cells(self, name: str, places: Sequence[tuple[int, int]]) -> list[Any]:
        """Cells of a column by batch and row."""
        columns = {number: self._column(number, name) for number, _ in places}
        if _is_plain(self.schema.field(name).type):
            return [columns[number][row].as_py() for number, row in places]
        return [from_scalar(columns[number][row]) for number, row in places]

    def _column(self, number: int, name: str) -> pa.Array:
        """A column of a batch; kept, since to ask Arrow for it takes as long as to read a cell."""
        column = self._columns.get((number, name))
        if column is None:
            column = self._columns[number, name] = self.batch(number).column(name)
        return column


def _is_plain(kind: pa.DataType) -> bool:
    """Whether cells are what Arrow makes of them: text and whole numbers."""
    types = pa.types
    return bool(types.is_large_string(kind) or types.is_string(kind) or types.is_unsigned_integer(kind))


def read_documents(documents: TableReader, metadata: TableReader, rows: Rows) -> list[Document]:
    """Documents by row, in the order asked."""
    columns = documents.values(_DOCUMENTS.names, rows)
    described = _metadata(metadata, rows)
    return [
        Document(id=id_, title=title, text=text, metadata=values)
        for id_, title, text, values in zip(*columns, described, strict=True)
    ]


def _metadata(table: TableReader, rows: Rows) -> list[Metadata]:
    names = table.schema.names
    columns = table.values(names, rows)
    return [
        {name: column[place] for name, column in zip(names, columns, strict=True) if column[place] is not None}
        for place in range(len(rows))
    ]


def read_passages(table: TableReader, rows: Rows) -> list[Passage]:
    """Passages by row, in the order asked."""
    columns = table.values(("start", "end", "location", "heading"), rows)
    return [Passage(*cells) for cells in zip(*columns, strict=True)]
