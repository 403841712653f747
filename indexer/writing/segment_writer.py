"""Write documents, passages and vectors as a folder of fsynced files."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.index.collection.document_ids import Digests, IdTable
from retrieval.index.collection.document_store import (
    BATCH_BYTES,
    BATCH_ROWS,
    SegmentTable,
    SegmentTableWriter,
    documents_batch,
    metadata_batch,
    passages_batch,
)
from retrieval.index.collection.segment import BATCHES_FILE, FACTS, FACTS_TYPE, IDS, VECTORS
from retrieval.index.storage.checksums import record_file
from retrieval.index.storage.manifest import SEGMENTS, SegmentRecord
from retrieval.index.storage.npy import npy_bytes
from retrieval.index.vectors.store import VectorWriter
from retrieval.index.vectors.token_codes import TokenCodes
from retrieval.index.vectors.token_store import TOKEN_FILES, TokenWriter
from retrieval.types import Bitmap, Document, Metadata, Passage, Schema, Vectors
from retrieval.util.files import Files, write_file

_OTHER_VALUE_CHARACTERS = 8  # a number or a date counts as this many characters
SEGMENT_FILES = (*(table.file_name for table in SegmentTable), BATCHES_FILE, IDS, FACTS, VECTORS)


@dataclass(frozen=True, slots=True)
class SegmentEntries:
    """Documents to write into a segment, with their passages, vectors and digests."""

    documents: Sequence[Document]  # metadata typed
    passages: Sequence[Sequence[Passage]]
    vectors: Vectors  # (passages, dimension), document after document
    ids: Digests
    contents: Digests
    texts: Digests  # of all but the metadata
    unreadable: NDArray[np.float32]  # share of each text that the tokenizer cannot read; NaN if unknown
    tokens: TokenCodes | None = None  # of the passages; None: the collection stores no token vectors


@dataclass(frozen=True, slots=True)
class FinishedSegment:
    """A finished segment, and which of its documents are live."""

    record: SegmentRecord
    live: Bitmap


def new_segment_folder(collection: Path, prefix: str, files: Files) -> Path:
    """Make the folder of a new segment; its name is `prefix` and a random part."""
    folder = collection / SEGMENTS / f"{prefix}-{secrets.token_hex(4)}"
    files.make_directory(folder)
    return folder


def count_characters(document: Document) -> int:
    """Count the characters of a document with metadata: about its bytes in memory."""
    own = sum(map(len, (document.id, document.title, document.text, document.given)))
    return own + sum(map(_value_characters, document.metadata.values()))


def _value_characters(value: object) -> int:
    if isinstance(value, list | tuple):
        return sum(map(_value_characters, value))
    return len(value) if isinstance(value, str) else _OTHER_VALUE_CHARACTERS


class SegmentBuilder:
    """Streams one segment to disk; a later document replaces one with the same id."""

    def __init__(
        self, folder: Path, dimension: int, dtype: str, files: Files, tokens: TokenWriter | None = None
    ) -> None:
        self.folder = folder
        self.passages = 0
        self.text_bytes = 0
        self._files = files
        self._text = SegmentTableWriter(folder, files)
        self._vectors = VectorWriter(folder / VECTORS, dimension, dtype, files)
        self._tokens = tokens
        self._buffer: list[Document] = []  # not yet written
        self._buffer_bytes = 0
        self._metadata: list[Metadata] = []  # of all documents: only the last one settles the columns
        self._ids: list[bytes] = []
        self._facts: list[NDArray[np.void]] = []
        self._contents: dict[bytes, bytes] = {}  # id digest → content digest of the live document

    @property
    def documents(self) -> int:
        return len(self._ids)

    def content_of(self, id_digest: bytes) -> bytes | None:
        """Return the content digest of the live document with this id digest, or None."""
        return self._contents.get(id_digest)

    def add(self, entries: SegmentEntries, first_key: int) -> int:
        """Append documents; return how many replaced an earlier one of this segment."""
        self._vectors.append(entries.vectors)
        if self._tokens is not None and entries.tokens is not None:
            self._tokens.append(entries.tokens)
        self._add_passages(entries.passages, first_key)
        live_before = len(self._contents)
        ids = [digest.tobytes() for digest in entries.ids]
        self._ids += ids
        self._contents.update(zip(ids, (digest.tobytes() for digest in entries.contents), strict=True))
        self._add_facts(entries)
        for document in entries.documents:
            self._add_document(document)
        return live_before + len(ids) - len(self._contents)

    def remove(self, id_digest: bytes) -> bool:
        """Delete a document; return False if there is no live one with this id digest."""
        return self._contents.pop(id_digest, None) is not None

    def _add_facts(self, entries: SegmentEntries) -> None:
        facts = np.empty(len(entries.documents), dtype=FACTS_TYPE)
        facts["content"], facts["unreadable"], facts["text"] = entries.contents, entries.unreadable, entries.texts
        self._facts.append(facts)

    def _add_passages(self, passages: Sequence[Sequence[Passage]], first_key: int) -> None:
        counts = [len(group) for group in passages]
        documents = np.repeat(np.arange(self.documents, self.documents + len(counts)), counts)
        keys = np.arange(first_key, first_key + len(documents), dtype=np.uint64)
        self._text.write(
            SegmentTable.PASSAGES, passages_batch(keys, documents, [passage for group in passages for passage in group])
        )
        self.passages += len(documents)

    def _add_document(self, document: Document) -> None:
        self._buffer.append(document)
        self._metadata.append(document.metadata)
        self.text_bytes += count_characters(document)
        self._buffer_bytes += len(document.id) + len(document.title) + len(document.text)
        if self._buffer_bytes >= BATCH_BYTES or len(self._buffer) >= BATCH_ROWS:
            self._write_documents()

    def _write_documents(self) -> None:
        self._text.write(SegmentTable.DOCUMENTS, documents_batch(self._buffer))
        self._buffer, self._buffer_bytes = [], 0

    def finish(self, schema: Schema) -> FinishedSegment:
        """Write the rest, then fsync and digest all files."""
        self._write_documents()
        for start in range(0, max(1, len(self._metadata)), BATCH_ROWS):
            self._text.write(SegmentTable.METADATA, metadata_batch(self._metadata[start : start + BATCH_ROWS], schema))
        batches = self._text.finish()
        self._vectors.close()
        if self._tokens is not None:
            self._tokens.close()
        live = self._live()
        ids = np.frombuffer(b"".join(self._ids), dtype=np.uint64).reshape(-1, 2)
        names = TOKEN_FILES if self._tokens is not None else ()
        facts = np.concatenate(self._facts)
        record = seal_segment(self.folder, batches, ids, live, facts, self.passages, self._files, names)
        return FinishedSegment(record, live)

    def _live(self) -> Bitmap:
        """Mark the last document of each id, unless it was removed."""
        last = dict(zip(self._ids, range(self.documents), strict=True))
        live = np.zeros(self.documents, dtype=np.bool_)
        live[[last[digest] for digest in self._contents]] = True
        return live

    def abandon(self) -> None:
        """Close the unfinished files."""
        self._text.abandon()
        self._vectors.__exit__(GeneratorExit, GeneratorExit(), None)
        if self._tokens is not None:
            self._tokens.abandon()


def seal_segment(
    folder: Path,
    batches: NDArray[np.void],
    ids: Digests,
    live: Bitmap,
    facts: NDArray[np.void],
    passages: int,
    files: Files,
    more_files: Sequence[str] = (),
) -> SegmentRecord:
    """Write the remaining tables, make the folder durable, and digest all files."""
    rows = np.flatnonzero(live)
    write_file(files, folder / BATCHES_FILE, npy_bytes(batches))
    write_file(files, folder / IDS, npy_bytes(IdTable.build(ids[rows], rows)))
    write_file(files, folder / FACTS, npy_bytes(facts))
    files.sync_directory(folder)
    records = tuple(record_file(folder, name) for name in (*SEGMENT_FILES, *more_files))
    return SegmentRecord(name=folder.name, documents=len(live), passages=passages, files=records)
