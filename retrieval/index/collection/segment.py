"""One open segment: its documents, passages, vectors and tables, by local row."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retrieval.errors import CorruptCollection
from retrieval.index.collection.document_ids import Digests, IdTable
from retrieval.index.collection.document_store import (
    Keys,
    Table,
    TableReader,
    passage_text,
    read_documents,
    read_passages,
)
from retrieval.index.storage.bounded_cache import BoundedCache
from retrieval.index.storage.checksums import CheckedFile
from retrieval.index.storage.manifest import DELETIONS, SEGMENTS, SegmentRecord
from retrieval.index.storage.npy import array_in
from retrieval.index.vectors.approximate import Approximate
from retrieval.index.vectors.build import StructureFacts, open_structure
from retrieval.index.vectors.exact import Flat
from retrieval.index.vectors.multi_segment import SegmentVectors
from retrieval.index.vectors.store import Kept, open_vectors
from retrieval.types import Bitmap, Document, Passage, Rows

VECTORS = "vectors.npy"
BATCHES_FILE = "batches.npy"  # where the batches of the Arrow files begin
IDS = "ids.npy"  # rows by id digest
STRUCTURE = "vectors.faiss"  # the approximate structure over the vectors, where there is one
FACTS = "facts.npy"  # one record a document, see FACTS_TYPE

_PAGE_ROWS = 1 << 10  # as many at a time are a page of hits, and remembered; longer lists pass by
_TEXT_BYTES = 16 << 20  # of documents that are remembered; those of a small collection all fit
_PASSAGES = 1 << 14  # that are remembered
_FEW_NUMBERS = 1 << 22  # in vectors of 384 dimensions those of 10,000 passages, 16 MB in memory

FACTS_TYPE = np.dtype([("content", "<u8", (2,)), ("unreadable", "<f4")])  # digest; share of text, NaN when unknown


@dataclass(frozen=True, slots=True)
class PassageTexts:
    """Passages as the lexical index takes them."""

    keys: Keys
    titles: Sequence[str]
    texts: Sequence[str]


class Segment:
    """The files of one segment, held open.  Safe to use from several threads.

    Sizes are checked on opening, digests before bytes are first used: what says where things lie at once, the text
    batch by batch, the vectors (plain numbers that no parser sees) when `check_all` is called.
    """

    def __init__(self, collection: Path, record: SegmentRecord) -> None:
        self.record = record
        self.folder = collection / SEGMENTS / record.name
        self._files = {each.name: CheckedFile(self.folder, each) for each in record.files}
        self._deletions = CheckedFile(collection / DELETIONS, record.deletions.file) if record.deletions else None
        self._structure = CheckedFile(self.folder, record.structure.file) if record.structure else None
        batches = self._array(BATCHES_FILE)
        self._tables = {
            table: TableReader(self._files[table.file_name], batches[batches["table"] == table]) for table in Table
        }
        self.live_documents = self._live()
        self.keys: Keys = self._tables[Table.PASSAGES].numbers("key")
        self.document_of: Rows = self._tables[Table.PASSAGES].numbers("document").astype(np.int64)
        self.vectors: Kept = self._vectors()
        self._check_counts()
        self._documents: BoundedCache[int, Document] = BoundedCache(_TEXT_BYTES)
        self._passages: BoundedCache[int, Passage] = BoundedCache(_PASSAGES)

    def _array(self, name: str) -> NDArray[Any]:
        file = self._files[name]
        file.require()
        return array_in(file)

    def _live(self) -> Bitmap:
        if self._deletions is None:
            return np.ones(self.record.documents, dtype=np.bool_)
        self._deletions.require()
        bits = np.unpackbits(array_in(self._deletions), count=self.record.documents, bitorder="little")
        return ~bits.astype(np.bool_)

    def _vectors(self) -> Kept:
        file = self._files[VECTORS]
        file.require(0, min(4096, file.record.size_bytes))
        return open_vectors(file.path)

    def _check_counts(self) -> None:
        record = self.record
        documents, passages = len(self._tables[Table.DOCUMENTS]), len(self._tables[Table.PASSAGES])
        if documents != record.documents or passages != record.passages or len(self.vectors) != passages:
            raise CorruptCollection(
                f"{documents} documents, {passages} passages and {len(self.vectors)} vectors do not fit the manifest "
                f"({record.documents}, {record.passages})",
                path=self.folder,
            )

    def reopened(self, collection: Path, record: SegmentRecord) -> Segment:
        """The segment as a later generation has it, sharing what is open: only its deletions may differ."""
        if record == self.record:
            return self
        if (record.files, record.structure) != (self.record.files, self.record.structure):
            return Segment(collection, record)
        other = copy(self)
        other.record = record
        other._deletions = CheckedFile(collection / DELETIONS, record.deletions.file) if record.deletions else None
        other.live_documents = other._live()
        return other

    def __len__(self) -> int:
        return self.record.passages

    @cached_property
    def index(self) -> SegmentVectors:
        """The vectors, searchable; in float32 too where they are few.  FAISS parses a structure after it is checked."""
        if self.record.structure is None or self._structure is None:
            few = self.vectors.dtype == np.float16 and self.vectors.size <= _FEW_NUMBERS
            return SegmentVectors(Flat(self.vectors, np.array(self.vectors, np.float32) if few else None))
        facts = StructureFacts.from_json(self.record.structure.facts)
        self._structure.require(0, facts.parsed_bytes)
        self._structure.release()  # FAISS maps the file anew
        structure = open_structure(self._structure.path, facts)
        return SegmentVectors(Flat(self.vectors), Approximate(structure, facts.tuning))

    @cached_property
    def facts(self) -> NDArray[np.void]:
        """What is known of each document, FACTS_TYPE."""
        return self._array(FACTS)

    @cached_property
    def _ids(self) -> IdTable:
        return IdTable(self._array(IDS))

    def find(self, digests: Digests) -> Rows:
        """The document row of each id digest, dead ones included; -1 where there is none."""
        return self._ids.find(digests)

    def id_digests(self, among: Bitmap) -> Digests:
        """Id digests of the document rows that `among` allows, in no particular order."""
        return self._ids.digests(among)

    def ids_by_row(self) -> Digests:
        """Id digests of all document rows; zeros for one that was dead when the segment was made."""
        return self._ids.by_row(self.record.documents)

    def documents(self, rows: Rows) -> list[Document]:
        """Documents in the order asked; those of a page of hits are remembered."""
        if len(rows) > _PAGE_ROWS:
            return self._read_documents(rows)
        return self._documents.get_all(rows.tolist(), self._read_documents, _size_bytes)

    def _read_documents(self, rows: Sequence[int] | Rows) -> list[Document]:
        rows = np.asarray(rows, np.int64)
        return read_documents(self._tables[Table.DOCUMENTS], self._tables[Table.METADATA], rows)

    def ids(self, rows: Rows) -> list[str]:
        """Ids of documents in the order asked."""
        return self._tables[Table.DOCUMENTS].values(["id"], rows)[0]

    def passages(self, rows: Rows) -> list[Passage]:
        """Passages in the order asked; those of a page of hits are remembered."""
        if len(rows) > _PAGE_ROWS:
            return self._read_passages(rows)
        return self._passages.get_all(rows.tolist(), self._read_passages, lambda _: 1)

    def _read_passages(self, rows: Sequence[int] | Rows) -> list[Passage]:
        return read_passages(self._tables[Table.PASSAGES], np.asarray(rows, np.int64))

    def scan(self, wanted: Bitmap) -> Iterator[PassageTexts]:
        """Title and text of the passages that `wanted` allows, (passages,), in order, some documents at a time."""
        passages = self._tables[Table.PASSAGES]
        starts, ends = (passages.numbers(name) for name in ("start", "end"))
        headings = passages.column("heading")
        document = 0
        for batch in self._tables[Table.DOCUMENTS].batches():
            first, last = np.searchsorted(self.document_of, [document, document + batch.num_rows])
            rows = first + np.flatnonzero(wanted[first:last])
            if len(rows):
                titles, texts = batch.column("title").to_pylist(), batch.column("text").to_pylist()
                inside = (self.document_of[rows] - document).tolist()
                parts = zip(
                    headings.take(rows).to_pylist(), inside, starts[rows].tolist(), ends[rows].tolist(), strict=True
                )
                yield PassageTexts(
                    keys=self.keys[rows],
                    titles=[titles[place] for place in inside],
                    texts=[passage_text("", heading, texts[place][start:end]) for heading, place, start, end in parts],
                )
            document += batch.num_rows

    def table(self, table: Table) -> TableReader:
        """One of the Arrow files, whole."""
        return self._tables[table]

    def column(self, name: str, kind: pa.DataType) -> pa.ChunkedArray:
        """A metadata field of all documents, null where the segment does not have it."""
        metadata = self._tables[Table.METADATA]
        if name in metadata.schema.names:
            return metadata.column(name)
        return pa.chunked_array([pa.nulls(self.record.documents, kind)])

    def check_all(self) -> None:
        """Check every byte against its digest.  Raises CorruptCollection."""
        for file in (*self._files.values(), self._structure):
            if file is not None:
                file.require()


def _size_bytes(document: Document) -> int:
    return sys.getsizeof(document.text) + sys.getsizeof(document.title) + sys.getsizeof(document.metadata)
