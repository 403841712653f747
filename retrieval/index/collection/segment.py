"""One open segment: its documents, passages and vectors, by row in the segment."""

from __future__ import annotations

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
    MAX_TITLE,
    Keys,
    SegmentTable,
    Table,
    TableReader,
    document_bytes,
    passage_text,
    read_documents,
    read_passages,
)
from retrieval.index.collection.metadata_updates import MetadataUpdates, join_updates, read_all_updates, with_updates
from retrieval.index.collection.searched_fields import ID_FIELD, searched_text
from retrieval.index.storage.bounded_cache import BoundedCache
from retrieval.index.storage.checksums import REPAIR, CheckedFile
from retrieval.index.storage.manifest import DELETIONS, SEGMENTS, SegmentRecord
from retrieval.index.storage.npy import array_in
from retrieval.index.vectors.build import AnnIndexFacts, open_faiss_index
from retrieval.index.vectors.exact import FlatVectors
from retrieval.index.vectors.store import StoredVectors, open_vectors
from retrieval.index.vectors.token_codes import TokenCodes
from retrieval.index.vectors.token_store import TOKEN_CODES, TOKEN_ENDS, TOKEN_MEANS, StoredTokens
from retrieval.index.vectors.vector_search import SegmentVectors, TunedIndex
from retrieval.index.vectors.window_store import WINDOW_ENDS, WINDOW_SPANS, WINDOW_VECTORS, StoredWindows
from retrieval.types import Bitmap, Document, Passage, Rows

VECTORS = "vectors.npy"
BATCHES_FILE = "batches.npy"  # the batches of the Arrow files, see document_store.BATCHES
IDS = "ids.npy"  # rows by id digest, see IdTable
ANN_INDEX = "vectors.faiss"  # the ANN index over the vectors, in large segments
COPIES = "copies.npy"  # rows with the vector of an earlier row, which the ANN index leaves out, see EqualVectors
FACTS = "facts.npy"  # one record per document, see FACTS_TYPE

_PAGE_ROWS = 1 << 10  # a request for so many rows is a page of hits and is cached; longer requests are not
_TEXT_BYTES = 16 << 20  # of cached documents; all documents of a small collection fit
_CACHED_PASSAGES = 1 << 14
_MAX_FLOAT32_NUMBERS = 1 << 22  # 10,000 vectors of 384 dimensions, 16 MB in memory

FACTS_TYPE = np.dtype(
    [
        ("content", "<u8", (2,)),  # digest
        ("unreadable", "<f4"),  # share of the text, NaN if unknown
        ("text", "<u8", (2,)),  # digest of all but the metadata; zeros if unknown, as in files of earlier versions
    ]
)


@dataclass(frozen=True, slots=True)
class PassageTexts:
    """Passages as input of the lexical index."""

    keys: Keys
    titles: Sequence[str]
    texts: Sequence[str]
    searched: Sequence[Sequence[str]]  # of each searched field


class Segment:
    """The open files of one segment.  Safe to use from several threads.

    Opening checks the sizes of all files and the digests of the arrays that locate data.  Text is checked batch by
    batch before its first use.  Vectors, of windows too, and token codes are plain numbers that no parser reads; only
    `check_all` checks them.
    """

    def __init__(self, collection: Path, record: SegmentRecord) -> None:
        self.record = record
        self.folder = collection / SEGMENTS / record.name
        self._files = {each.name: CheckedFile(self.folder, each) for each in record.files}
        self._deletions = CheckedFile(collection / DELETIONS, record.deletions.file) if record.deletions else None
        ann_index_files = record.ann_index.files if record.ann_index else ()
        self._ann_index = [CheckedFile(self.folder, each) for each in ann_index_files]
        batches = self._array(BATCHES_FILE)
        self._tables: dict[SegmentTable, Table] = {
            table: TableReader(self._files[table.file_name], batches[batches["table"] == table])
            for table in SegmentTable
        }
        self.live_documents = self._live()
        self.keys: Keys = self._tables[SegmentTable.PASSAGES].numbers("key")
        self.document_of: Rows = self._tables[SegmentTable.PASSAGES].numbers("document").astype(np.int64)
        self.vectors: StoredVectors = self._vectors(VECTORS)
        self.tokens: StoredTokens | None = self._tokens()  # None: the collection stores no token vectors
        self.windows: StoredWindows | None = self._windows()  # None: the collection has no windows
        self._check_counts()
        self._passages: BoundedCache[int, Passage] = BoundedCache(_CACHED_PASSAGES)
        self._stored = self._tables  # as in the files of the segment, without updates
        self._update(read_all_updates(collection, record))

    def _update(self, updates: MetadataUpdates | None) -> None:
        """Show the documents of the files with these updates."""
        self.updates = updates
        self._documents: BoundedCache[int, Document] = BoundedCache(_TEXT_BYTES)
        vars(self).pop("facts", None)
        documents, metadata = self._stored[SegmentTable.DOCUMENTS], self._stored[SegmentTable.METADATA]
        if updates is not None:
            documents, metadata = with_updates(documents, metadata, updates)
        self._tables = {**self._stored, SegmentTable.DOCUMENTS: documents, SegmentTable.METADATA: metadata}

    def updated(self, updates: Sequence[MetadataUpdates]) -> Segment:
        """Return the segment with further updates, the latest last; it shares the files."""
        other = copy(self)
        other._update(join_updates([*([] if self.updates is None else [self.updates]), *updates]))
        return other

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

    def _vectors(self, name: str) -> StoredVectors:
        file = self._files[name]
        file.require(0, min(4096, file.record.size_bytes))
        return open_vectors(file.path)

    def _windows(self) -> StoredWindows | None:
        if WINDOW_VECTORS not in self._files:
            return None
        windows = StoredWindows(
            self._vectors(WINDOW_VECTORS), array_in(self._files[WINDOW_SPANS]), self._array(WINDOW_ENDS)
        )
        if not windows.fits(self.record.passages):
            raise CorruptCollection(f"the files of windows do not fit each other; {REPAIR}", path=self.folder)
        return windows

    def _tokens(self) -> StoredTokens | None:
        if TOKEN_CODES not in self._files:
            return None
        codes, means = (array_in(self._files[name]) for name in (TOKEN_CODES, TOKEN_MEANS))
        tokens = StoredTokens(codes, means, self._array(TOKEN_ENDS))
        if not tokens.fits(self.record.passages):
            raise CorruptCollection(f"the files of token vectors do not fit each other; {REPAIR}", path=self.folder)
        return tokens

    def _check_counts(self) -> None:
        record = self.record
        documents, passages = len(self._tables[SegmentTable.DOCUMENTS]), len(self._tables[SegmentTable.PASSAGES])
        if documents != record.documents or passages != record.passages or len(self.vectors) != passages:
            found = f"{documents} documents, {passages} passages and {len(self.vectors)} vectors"
            expected = f"the manifest ({record.documents}, {record.passages})"
            raise CorruptCollection(f"{found} do not fit {expected}; {REPAIR}", path=self.folder)

    def reopened(self, collection: Path, record: SegmentRecord) -> Segment:
        """Return the segment of a later generation, with shared files if possible."""
        if record == self.record:
            return self
        if (record.files, record.ann_index) != (self.record.files, self.record.ann_index):
            return Segment(collection, record)
        other = copy(self)
        other.record = record
        other._deletions = CheckedFile(collection / DELETIONS, record.deletions.file) if record.deletions else None
        other.live_documents = other._live()
        if record.updates != self.record.updates:
            other._update(read_all_updates(collection, record))
        return other

    def __len__(self) -> int:
        return self.record.passages

    @cached_property
    def index(self) -> SegmentVectors:
        """The searchable vectors; a small segment has them in float32, too."""
        if self.record.ann_index is None:
            small = self.vectors.dtype == np.float16 and self.vectors.size <= _MAX_FLOAT32_NUMBERS
            return SegmentVectors(FlatVectors(self.vectors, np.array(self.vectors, np.float32) if small else None))
        facts = AnnIndexFacts.from_json(self.record.ann_index.facts)
        if not facts.reaches_target:
            return SegmentVectors(FlatVectors(self.vectors))
        file, *copies = self._ann_index
        file.require(0, facts.parsed_bytes)  # before FAISS parses the file
        file.release()  # FAISS maps the file anew
        for each in copies:
            each.require()
        ann_index = open_faiss_index(file.path, facts, *map(array_in, copies))
        return SegmentVectors(FlatVectors(self.vectors), TunedIndex(ann_index, facts.tuning))

    @cached_property
    def facts(self) -> NDArray[np.void]:
        """The facts of each document: (documents,) of FACTS_TYPE."""
        stored = self._array(FACTS)
        if stored.dtype == FACTS_TYPE and self.updates is None:
            return stored
        facts = np.zeros(len(stored), FACTS_TYPE)
        for name in stored.dtype.names or ():
            facts[name] = stored[name]
        if self.updates is not None:
            facts["content"][self.updates.rows] = self.updates.contents
        return facts

    @cached_property
    def _ids(self) -> IdTable:
        return IdTable(self._array(IDS))

    def find(self, digests: Digests) -> Rows:
        """Return the row of each id digest, live or dead; -1 for an unknown digest."""
        return self._ids.find(digests)

    def id_digests(self, among: Bitmap) -> Digests:
        """Return the id digests of the document rows that `among` allows, ascending."""
        return self._ids.digests(among)

    def ids_by_row(self) -> Digests:
        """Return id digests by row, (documents, 2); zeros if dead since the merge."""
        return self._ids.by_row(self.record.documents)

    def documents(self, rows: Rows) -> list[Document]:
        """Return documents in the order of `rows`; a page of hits is cached."""
        if len(rows) > _PAGE_ROWS:
            return self._read_documents(rows)
        return self._documents.get_all(rows.tolist(), self._read_documents, document_bytes)

    def _read_documents(self, rows: Sequence[int] | Rows) -> list[Document]:
        rows = np.asarray(rows, np.int64)
        return read_documents(self._tables[SegmentTable.DOCUMENTS], self._tables[SegmentTable.METADATA], rows)

    def ids(self, rows: Rows) -> list[str]:
        """Return ids of documents in the order of `rows`."""
        return self._tables[SegmentTable.DOCUMENTS].values(["id"], rows)[0]

    def titles(self, rows: Rows) -> list[str]:
        """Return titles of documents in the order of `rows`."""
        return self._tables[SegmentTable.DOCUMENTS].values(["title"], rows)[0]

    def texts(self, rows: Rows) -> list[tuple[str, str]]:
        """Return title and text of documents in the order of `rows`."""
        titles, texts = self._tables[SegmentTable.DOCUMENTS].values(["title", "text"], rows)
        return list(zip(titles, texts, strict=True))

    def passages(self, rows: Rows) -> list[Passage]:
        """Return passages in the order of `rows`; a page of hits is cached."""
        if len(rows) > _PAGE_ROWS:
            return self._read_passages(rows)
        return self._passages.get_all(rows.tolist(), self._read_passages, lambda _: 1)

    def _read_passages(self, rows: Sequence[int] | Rows) -> list[Passage]:
        return read_passages(self._tables[SegmentTable.PASSAGES], np.asarray(rows, np.int64))

    def searched_texts(self, rows: Rows, fields: Sequence[str]) -> list[list[str]]:
        """Return the texts of each searched field, in the order of `rows`."""
        metadata = self._tables[SegmentTable.METADATA]
        known = [field for field in fields if field != ID_FIELD and field in metadata.schema.names]
        values = dict(zip(known, metadata.values(known, rows), strict=True))
        missing = [None] * len(rows)
        columns = [self.ids(rows) if field == ID_FIELD else values.get(field, missing) for field in fields]
        return [[searched_text(value) for value in column] for column in columns]

    def token_codes(self, rows: Rows) -> list[TokenCodes]:
        """Return the token codes of each passage, in the order of `rows`."""
        assert self.tokens is not None, "the caller knows that the collection stores token vectors"
        return [self.tokens.take(rows[i : i + 1]) for i in range(len(rows))]

    def scan(self, wanted: Bitmap, searched: Sequence[str] = ()) -> Iterator[PassageTexts]:
        """Yield the passages that `wanted`, (passages,), marks, in row order."""
        passages = self._tables[SegmentTable.PASSAGES]
        starts, ends = (passages.numbers(name) for name in ("start", "end"))
        headings = passages.column("heading")
        document = 0
        for batch in self._tables[SegmentTable.DOCUMENTS].batches():
            first, last = np.searchsorted(self.document_of, [document, document + batch.num_rows])
            rows = first + np.flatnonzero(wanted[first:last])
            if len(rows):
                titles, texts = batch.column("title").to_pylist(), batch.column("text").to_pylist()
                inside = (self.document_of[rows] - document).tolist()
                cells = zip(
                    headings.take(rows).to_pylist(), inside, starts[rows].tolist(), ends[rows].tolist(), strict=True
                )
                yield PassageTexts(
                    keys=self.keys[rows],
                    titles=[titles[row][:MAX_TITLE] for row in inside],
                    texts=[passage_text("", heading, texts[row][start:end]) for heading, row, start, end in cells],
                    searched=self.searched_texts(self.document_of[rows], searched) if searched else (),
                )
            document += batch.num_rows

    def table(self, table: SegmentTable) -> Table:
        """Return a table, with the updates of metadata."""
        return self._tables[table]

    def column(self, name: str, kind: pa.DataType) -> pa.ChunkedArray:
        """Return a metadata field of all documents; nulls if the segment lacks the field."""
        metadata = self._tables[SegmentTable.METADATA]
        if name in metadata.schema.names:
            return metadata.column(name)
        return pa.chunked_array([pa.nulls(self.record.documents, kind)])

    def check_all(self) -> None:
        """Check all files against their digests.  Raises CorruptCollection."""
        for file in (*self._files.values(), *self._ann_index):
            file.require()
