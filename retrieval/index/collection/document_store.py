"""Documents, passages and metadata as memory-mapped Arrow IPC files.

Any Arrow reader opens the files.  One array of the segment lists the batches of the files: the row and the byte where
each batch ends.  With it, a look-up checks and reads only the batch that contains a row.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from enum import IntEnum
from itertools import chain
from pathlib import Path
from sys import getsizeof
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import ipc

from retrieval.index.metadata.columns import arrow_schema, from_scalar, to_columns
from retrieval.index.storage.checksums import CheckedFile
from retrieval.types import Document, Metadata, Passage, Rows, Schema
from retrieval.util.arrays import segment_of_row
from retrieval.util.files import Files, writing
from retrieval.util.work_budget import check_answer_bytes

BATCH_BYTES = 1 << 20  # of text; a look-up checks and reads a whole batch
BATCH_ROWS = 1 << 14
DOCUMENT_BYTES = 200  # of a document without its parts
FEW_DOCUMENTS = 16  # are read without a look at their sizes
MAX_TITLE = 2_000  # characters of a title and of a heading that are read again with each passage
_TAIL_BYTES = 10  # at the end of a file: length of the footer (4), magic (6)

GIVEN = "given"  # the column of `Document.given`; a file without it comes from before, and has empty texts there
_DOCUMENTS = pa.schema([(name, pa.large_string()) for name in ("id", "title", "text", GIVEN)])
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
_PASSAGE_FIELDS = ("start", "end", "location", "heading")


class SegmentTable(IntEnum):
    """The Arrow files of a segment; the array of batches contains the number."""

    DOCUMENTS = 0
    METADATA = 1
    PASSAGES = 2

    @property
    def file_name(self) -> str:
        return f"{self.name.lower()}.arrow"


Keys: TypeAlias = NDArray[np.uint64]  # permanent serial numbers of passages, ascending

# The end of each batch of a table; the first entry of a table has row 0 and byte 0.
BATCHES = np.dtype([("table", "<u1"), ("row", "<u8"), ("byte", "<u8")])


def passage_text(title: str, heading: str, text: str) -> str:
    """Return the encoder's text: non-empty parts joined by a space, as in BEIR.

    Of a title and a heading the start counts: each passage of a document repeats them.
    """
    return " ".join(part for part in (title[:MAX_TITLE], heading[:MAX_TITLE], text) if part)


def documents_batch(documents: Sequence[Document]) -> pa.RecordBatch:
    """Return documents as rows of `documents.arrow`."""
    columns = [[getattr(document, name) for document in documents] for name in _DOCUMENTS.names]
    return pa.RecordBatch.from_arrays([pa.array(column, pa.large_string()) for column in columns], schema=_DOCUMENTS)


def complete_documents_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return rows of any `documents.arrow` with all of today's columns."""
    if GIVEN in batch.schema.names:
        return batch
    return batch.append_column(_DOCUMENTS.field(GIVEN), pa.array([""] * batch.num_rows, pa.large_string()))


def metadata_batch(rows: Sequence[Metadata], schema: Schema) -> pa.RecordBatch:
    """Return typed metadata as rows of `metadata.arrow`."""
    return pa.RecordBatch.from_arrays(to_columns(rows, schema), schema=arrow_schema(schema))


def passages_batch(keys: Keys, documents: Rows, passages: Sequence[Passage]) -> pa.RecordBatch:
    """Return passages as rows of `passages.arrow`, with their document rows."""
    cells = [[getattr(passage, name) for passage in passages] for name in _PASSAGE_FIELDS]
    columns: list[Any] = [keys, documents, *cells]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, _PASSAGES, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=_PASSAGES)


def merge_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the same rows in batches of about BATCH_ROWS rows or BATCH_BYTES bytes."""
    pending: list[pa.RecordBatch] = []
    rows = size_bytes = 0
    for batch in batches:
        pending.append(batch)
        rows += batch.num_rows
        size_bytes += batch.nbytes
        if rows >= BATCH_ROWS or size_bytes >= BATCH_BYTES:
            yield pa.concat_batches(pending)
            pending, rows, size_bytes = [], 0, 0
    if pending:
        yield pa.concat_batches(pending)


class SegmentTableWriter:
    """Writes the Arrow files of a new segment; rows keep the order of writing."""

    def __init__(self, folder: Path, files: Files) -> None:
        self._folder = folder
        self._files = files
        self._open = ExitStack()
        self._sinks: dict[SegmentTable, BinaryIO] = {}
        self._writers: dict[SegmentTable, ipc.RecordBatchFileWriter] = {}
        self._rows = dict.fromkeys(SegmentTable, 0)
        self._batches: list[tuple[int, int, int]] = []

    def write(self, table: SegmentTable, batch: pa.RecordBatch) -> None:
        """Append a batch; all batches of a table have the same schema."""
        if table not in self._writers:
            self._start(table, batch.schema)
        if batch.num_rows:
            self._writers[table].write_batch(batch)
            self._rows[table] += batch.num_rows
            self._batches.append((table, self._rows[table], self._sinks[table].tell()))

    def _start(self, table: SegmentTable, schema: pa.Schema) -> None:
        sink = self._open.enter_context(writing(self._files, self._folder / table.file_name))
        self._sinks[table] = sink
        self._writers[table] = ipc.new_file(sink, schema)
        self._batches.append((table, 0, 0))

    def finish(self) -> NDArray[np.void]:
        """Complete and fsync the files; return the array of their batches."""
        for writer in self._writers.values():
            writer.close()
        self._open.close()
        return np.array(sorted(self._batches), dtype=BATCHES)

    def abandon(self) -> None:
        """Close the incomplete files."""
        stop = GeneratorExit()
        self._open.__exit__(type(stop), stop, None)


class Table(ABC):
    """Rows in batches of columns.  Safe to use from several threads.

    first_rows: (batches + 1,), the first row of each batch, and the number of rows.
    """

    def __init__(self, first_rows: Rows) -> None:
        self.first_rows = first_rows
        self._columns: dict[tuple[int, str], pa.Array] = {}  # by batch and name

    def __len__(self) -> int:
        return int(self.first_rows[-1])

    @property
    @abstractmethod
    def schema(self) -> pa.Schema: ...

    @abstractmethod
    def batch(self, number: int) -> pa.RecordBatch:
        """Return a batch, whose bytes are checked before Arrow reads them."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield all batches in order."""
        for number in range(len(self.first_rows) - 1):
            yield self.batch(number)

    def column(self, name: str) -> pa.ChunkedArray:
        """Return one whole column."""
        kind = self.schema.field(name).type
        return pa.chunked_array([batch.column(name) for batch in self.batches()], kind)

    def numbers(self, name: str) -> NDArray[Any]:
        """Return one column of numbers, without Arrow's conversion via pandas."""
        parts = [np.from_dlpack(batch.column(name)) for batch in self.batches()]
        return np.concatenate(parts) if parts else np.empty(0, self.schema.field(name).type.to_pandas_dtype())

    def values(self, names: Sequence[str], rows: Rows) -> list[list[Any]]:
        """Return the cells of some columns, each in the order of `rows`."""
        if not names:  # a table without columns has no batches
            return []
        positions = self._positions(rows)
        return [self._cells(name, positions) for name in names]

    def text_bytes(self, rows: Rows) -> int:
        """Return the bytes of the texts and lists of texts in `rows`; do not read them."""
        names = [field.name for field in self.schema if _is_text(field.type)]
        positions = self._positions(rows) if names else []
        return sum(_text_bytes(self._column(number, name)[row]) for name in names for number, row in positions)

    def _positions(self, rows: Rows) -> list[tuple[int, int]]:
        """Return the batch of each row, and the row in the batch."""
        numbers = segment_of_row(rows, self.first_rows)
        return list(zip(numbers.tolist(), (rows - self.first_rows[numbers]).tolist(), strict=True))

    def _cells(self, name: str, positions: Sequence[tuple[int, int]]) -> list[Any]:
        """Return the cells of a column at (batch, row in the batch)."""
        columns = {number: self._column(number, name) for number, _ in positions}
        if _is_plain(self.schema.field(name).type):
            return [columns[number][row].as_py() for number, row in positions]
        return [from_scalar(columns[number][row]) for number, row in positions]

    def _column(self, number: int, name: str) -> pa.Array:
        """Return a column of a batch; cached, since Arrow takes as long as for a cell."""
        if (number, name) not in self._columns:
            self._columns[number, name] = self.batch(number).column(name)
        return self._columns[number, name]


class TableReader(Table):
    """Reads the rows of one Arrow file at random."""

    def __init__(self, file: CheckedFile, batches: NDArray[np.void]) -> None:
        super().__init__(batches["row"].astype(np.int64))
        self._file = file
        self._bytes = batches["byte"].astype(np.int64)
        self._reader = self._open()
        self._batches: dict[int, pa.RecordBatch] = {}
        self._lock = threading.Lock()

    @property
    def schema(self) -> pa.Schema:
        return self._reader.schema

    def _open(self) -> ipc.RecordBatchFileReader:
        """Check the digest of the footer, then parse it with Arrow."""
        size = self._file.record.size_bytes
        self._file.require(max(0, size - _TAIL_BYTES))
        tail = bytes(memoryview(self._file.bytes)[size - _TAIL_BYTES :])
        self._file.require(max(0, size - _TAIL_BYTES - int.from_bytes(tail[:4], "little")))
        try:
            return ipc.open_file(pa.BufferReader(pa.py_buffer(self._file.bytes)))
        except (pa.ArrowInvalid, OSError) as error:
            raise self._file.damage(f"is not an Arrow file ({error})") from error

    def batch(self, number: int) -> pa.RecordBatch:
        with self._lock:
            if number not in self._batches:
                self._file.require(int(self._bytes[number]), int(self._bytes[number + 1]))
                self._batches[number] = self._reader.get_batch(number)
            return self._batches[number]


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_large_string(kind) or pa.types.is_string(kind) or pa.types.is_list(kind))


def _text_bytes(cell: pa.Scalar) -> int:
    if not cell.is_valid:
        return 0
    return int(cell.values.nbytes if pa.types.is_list(cell.type) else cell.as_buffer().size)


def _is_plain(kind: pa.DataType) -> bool:
    """Check whether Arrow's own Python values are right: for text and whole numbers."""
    return bool(pa.types.is_large_string(kind) or pa.types.is_string(kind) or pa.types.is_unsigned_integer(kind))


def read_documents(documents: Table, metadata: Table, rows: Rows) -> list[Document]:
    """Return the documents of `rows`, in that order.

    Raises TooLarge if many documents together do not fit into the answer of the running request.
    """
    if len(rows) > FEW_DOCUMENTS:
        check_answer_bytes(lambda: documents.text_bytes(rows) + metadata.text_bytes(rows))
    names = [name for name in _DOCUMENTS.names if name in documents.schema.names]
    cells = zip(zip(*documents.values(names, rows), strict=True), _read_metadata(metadata, rows), strict=True)
    return [Document(**dict(zip(names, texts, strict=True)), metadata=values) for texts, values in cells]


def _read_metadata(table: Table, rows: Rows) -> list[Metadata]:
    names = table.schema.names
    columns = table.values(names, rows)
    return [
        {name: column[index] for name, column in zip(names, columns, strict=True) if column[index] is not None}
        for index in range(len(rows))
    ]


def document_bytes(document: Document) -> int:
    """Estimate the memory that a document takes.

    Its part of an answer takes about as much.
    """
    metadata = document.metadata
    items = chain.from_iterable(value for value in metadata.values() if isinstance(value, tuple))
    texts = (document.id, document.title, document.text, document.given)
    parts = chain(texts, (metadata,), metadata, metadata.values(), items)
    return DOCUMENT_BYTES + sum(map(getsizeof, parts))


def read_passages(table: Table, rows: Rows) -> list[Passage]:
    """Return the passages of `rows`, in that order."""
    columns = table.values(_PASSAGE_FIELDS, rows)
    return [Passage(*cells) for cells in zip(*columns, strict=True)]
