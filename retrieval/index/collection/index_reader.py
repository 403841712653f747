"""An open generation, which stays readable while writers commit new ones.

Opening takes no lock.  The files of a generation never change.  An open file stays readable after the garbage collector
removes its name.  A writer may remove files between the reads of the manifest and of the files; the reader then finds a
newer manifest and opens that generation.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, DTypeLike, NDArray

from retrieval.errors import BadDocument, CorruptCollection, DocumentNotFound, FilterError
from retrieval.index.collection.document_ids import id_digests
from retrieval.index.collection.document_store import Keys
from retrieval.index.collection.segment import Segment
from retrieval.index.lexical.reader import LexicalReader
from retrieval.index.lexical.sparse_reader import SparseReader, open_sparse
from retrieval.index.lexical.writer import open_lexical
from retrieval.index.metadata.columns import arrow_type
from retrieval.index.metadata.expiry import Expiry, has_expiry
from retrieval.index.metadata.filters import compile_filter
from retrieval.index.storage.checksums import FileRecord, check_size
from retrieval.index.storage.current_generation import with_current_manifest
from retrieval.index.storage.manifest import MANIFEST, Manifest
from retrieval.index.vectors.exact import FlatVectors
from retrieval.index.vectors.fine_search import FineVectors, WindowVectors
from retrieval.index.vectors.token_codes import TokenCodes
from retrieval.index.vectors.vector_search import CombinedVectors, SegmentVectors
from retrieval.index.vectors.window_store import Windows
from retrieval.types import Bitmap, Document, Mode, Passage, Rows, Schema
from retrieval.util.arrays import segment_of_row

T = TypeVar("T")

CHECKED_BYTES = 64 << 20  # opening checks all bytes of a generation up to this size


@dataclass(frozen=True, slots=True)
class CollectionPart:
    """A collection of a reader of several, and its documents `[first, last)`."""

    name: str
    first: int
    last: int


class IndexReader:
    """An open generation, whose passage and document rows count through its segments.

    Rows include dead passages and documents; `live` (rows,) and `live_documents` (documents,) mark the live ones.
    `document_of` (rows,) has the document row of each passage.  Safe to use from several threads.
    """

    parts: tuple[CollectionPart, ...] = ()  # of a reader of several collections

    def __init__(self, path: Path, manifest: Manifest, previous: IndexReader | None = None) -> None:
        self.path = path
        self.name = collection_name(path)
        self.manifest = manifest
        known = {segment.record.name: segment for segment in previous.segments} if previous else {}
        self.segments: tuple[Segment, ...] = tuple(
            known[record.name].reopened(path, record) if record.name in known else Segment(path, record)
            for record in manifest.segments
        )
        self._combine()
        self.keys: Keys = _joined([each.keys for each in self.segments], np.uint64)
        self.lexical: LexicalReader | None = None
        if manifest.lexical is not None and manifest.settings.lexical is not None:
            settings = manifest.settings
            self.lexical = open_lexical(
                path, manifest.lexical, manifest.settings.lexical, self.keys, self.live, settings.synonyms
            )
        self.sparse: SparseReader | None = None
        if manifest.sparse is not None and manifest.settings.sparse is not None:
            self.sparse = open_sparse(path, manifest.sparse, manifest.settings.sparse, self.keys, self.live)

    def _combine(self) -> None:
        """Count the rows of `segments`, one segment after the other."""
        self._document_starts = _starts([each.record.documents for each in self.segments])
        self._row_starts = _starts([each.record.passages for each in self.segments])
        self.rows = int(self._row_starts[-1])
        self.live_documents: Bitmap = _joined([each.live_documents for each in self.segments], np.bool_)
        self.document_of: Rows = _joined(
            [each.document_of + start for each, start in zip(self.segments, self._document_starts, strict=False)],
            np.int64,
        )
        self.live: Bitmap = self.live_documents[self.document_of]
        self.vectors = CombinedVectors([each.index for each in self.segments], self.manifest.encoder.dimension)

    def __enter__(self) -> IndexReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drop the references to the files; the last array over a file unmaps it."""
        self.segments = ()
        vars(self).pop("_all_windows", None)
        self.vectors = CombinedVectors([], self.manifest.encoder.dimension)
        self.lexical = None
        self.sparse = None

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The modes that searches of this generation may use."""
        others = [
            mode for mode, index in ((Mode.LEXICAL, self.lexical), (Mode.SPARSE, self.sparse)) if index is not None
        ]
        return (Mode.DENSE, *others, Mode.HYBRID) if others else (Mode.DENSE,)

    @property
    def schema(self) -> Schema:
        """Metadata fields of the collection."""
        return self.manifest.schema

    @cached_property
    def expiry(self) -> Expiry | None:
        """The dates until which documents are found; None without such a field."""
        field = self.manifest.settings.expires
        return Expiry(self.column(field)) if field and has_expiry(field, self.schema) else None

    def found_documents(self, now: datetime | None = None) -> Bitmap:
        """Return the live documents that have not expired, (documents,)."""
        expired = self.expired_documents(now)
        return self.live_documents if expired is None else self.live_documents & ~expired

    def expired_documents(self, now: datetime | None = None) -> Bitmap | None:
        """Return the documents that have expired, (documents,); None for none.

        `now` is by default the time of the call.
        """
        expiry = self.expiry
        return None if expiry is None else expiry.expired(now or datetime.now(UTC))

    def find(self, document_id: str, now: datetime | None = None) -> int | None:
        """Return the row of the document with that id; None if it is gone or expired."""
        with suppress(BadDocument):  # an id with half a surrogate pair
            digests = id_digests([document_id])
            for segment, start in zip(self.segments, self._document_starts.tolist(), strict=False):
                row = int(segment.find(digests)[0])
                if row >= 0 and segment.live_documents[row]:
                    expired = self.expired_documents(now)
                    return None if expired is not None and expired[int(start) + row] else int(start) + row
        return None

    def _rows_of(self, ids: Sequence[str]) -> Rows:
        """Return the rows of those documents that are there, live or dead."""
        digests = id_digests(ids)
        found = [segment.find(digests) for segment in self.segments]
        starts = zip(found, self._document_starts.tolist(), strict=False)
        return _joined([rows[rows >= 0] + int(start) for rows, start in starts], np.int64)

    def document_row(self, document_id: str) -> int:
        """Return the row of the live document with that id.  Raises DocumentNotFound."""
        row = self.find(document_id)
        if row is None:
            raise DocumentNotFound(f"no document {document_id!r} in {self.name}")
        return row

    def matching_documents(self, filter: str, now: datetime | None = None, *, without: str = "") -> Bitmap:
        """Return which documents are found and match, (documents,).

        Conditions on the field `without` alone do not count.  Raises FilterError.
        """
        compiled = compile_filter(filter, self.schema, now)
        compiled = compiled.without(without) if without else compiled
        matching = compiled.documents(self.column, len(self.live_documents), self._rows_of)
        return np.asarray(matching & self.found_documents(now))

    def documents(self, document_rows: ArrayLike) -> list[Document]:
        """Return documents in the order of `document_rows`, without sections."""
        return _gather(self.segments, self._document_starts, document_rows, Segment.documents)

    def ids(self, document_rows: ArrayLike) -> list[str]:
        """Return ids of documents in the order of `document_rows`."""
        return _gather(self.segments, self._document_starts, document_rows, Segment.ids)

    def titles(self, document_rows: ArrayLike) -> list[str]:
        """Return titles of documents in the order of `document_rows`."""
        return _gather(self.segments, self._document_starts, document_rows, Segment.titles)

    def texts(self, document_rows: ArrayLike) -> list[tuple[str, str]]:
        """Return title and text of documents in the order of `document_rows`."""
        return _gather(self.segments, self._document_starts, document_rows, Segment.texts)

    def passages(self, rows: ArrayLike) -> list[Passage]:
        """Return passages in the order of `rows`."""
        return _gather(self.segments, self._row_starts, rows, Segment.passages)

    def token_codes(self, rows: ArrayLike) -> list[TokenCodes]:
        """Return the token codes of each passage, in the order of `rows`.

        The collection must store token vectors.
        """
        return _gather(self.segments, self._row_starts, rows, Segment.token_codes)

    def windows(self, row: int) -> Windows | None:
        """Return the windows of a passage; None if the collection has none."""
        number = int(segment_of_row(row, self._row_starts))
        stored = self.segments[number].windows
        return None if stored is None else stored.take(np.array([row - self._row_starts[number]]))

    def dense_vectors(self, window_share: float) -> CombinedVectors | FineVectors:
        """Return the vectors of dense search; windows have that share in a score."""
        if not window_share or not self.manifest.settings.vectors.windows:
            return self.vectors
        return FineVectors(self.vectors, self._all_windows, window_share)

    @cached_property
    def _all_windows(self) -> WindowVectors:
        """The windows of all passages; searches share them."""
        stored = [segment.windows for segment in self.segments]
        if any(each is None for each in stored):
            raise CorruptCollection("a segment has no windows; index the collection again", path=self.path)
        known = [each for each in stored if each is not None]
        vectors = [SegmentVectors(FlatVectors(each.vectors)) for each in known]
        counts = _joined([each.counts for each in known], np.int64)
        return WindowVectors(CombinedVectors(vectors, self.manifest.encoder.dimension), counts)

    def column(self, field: str) -> pa.ChunkedArray:
        """Return a field of all documents, null where missing.  Raises FilterError."""
        if field not in self.schema:
            known = ", ".join(self.schema) or "none"
            raise FilterError(f"no field {field!r} in {self.name} (fields: {known})")
        kind = arrow_type(self.schema[field])
        chunks = [chunk for segment in self.segments for chunk in segment.column(field, kind).chunks]
        return pa.chunked_array(chunks, kind)

    def check_sizes(self) -> None:
        """Check that no file has another size than when it was written.  Cheap.

        A read beyond the end of a mapped file ends the process (SIGBUS).  A file that cannot be found stays mapped.
        Raises CorruptCollection.
        """
        for path, record in self._files:
            with suppress(OSError):
                check_size(path, record)

    @cached_property
    def _files(self) -> tuple[tuple[Path, FileRecord], ...]:
        """The files of the generation, made once: a service checks them twice a second."""
        return tuple((self.path / name, record) for name, record in self.manifest.paths().items())

    def check_all(self) -> None:
        """Check all files of the segments.  Raises CorruptCollection."""
        for segment in self.segments:
            segment.check_all()


def open_index_reader(
    path: Path | str, generation: int | None = None, *, previous: IndexReader | None = None
) -> IndexReader:
    """Open the current generation, or a kept one.

    `previous` is another open generation of the same collection.  Both share its open segments, so that opening costs
    only as much as the changes.  Either may be closed first.  Raises NotACollection, CorruptCollection.
    """
    path = Path(path)
    return with_current_manifest(path, lambda manifest: _opened(path, manifest, previous), generation)


def collection_name(path: Path) -> str:
    """Return the name of a collection's directory as text."""
    return os.fsencode(path.resolve().name).decode("utf-8", "backslashreplace")


def manifest_stamp(path: Path) -> tuple[int, int] | None:
    """Return a value that each commit changes; None without a collection.  Cheap."""
    try:
        status = os.stat(path / MANIFEST)  # noqa: PTH116
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _opened(path: Path, manifest: Manifest, previous: IndexReader | None) -> IndexReader:
    reader = IndexReader(path, manifest, previous)
    reader.check_sizes()  # also of the files that `previous` opened
    if manifest.size_bytes <= CHECKED_BYTES:
        reader.check_all()
    return reader


def _starts(counts: Sequence[int]) -> Rows:
    return np.concatenate(([0], np.cumsum(counts, dtype=np.int64))).astype(np.int64)


def _joined(parts: Sequence[NDArray[Any]], dtype: DTypeLike) -> NDArray[Any]:
    return np.concatenate(parts).astype(dtype, copy=False) if parts else np.empty(0, dtype)


def _gather(
    segments: Sequence[Segment], starts: Rows, rows: ArrayLike, read: Callable[[Segment, Rows], list[T]]
) -> list[T]:
    """Read each row from its segment; return the results in the order of `rows`."""
    wanted = np.asarray(rows, dtype=np.int64)
    owners = segment_of_row(wanted, starts)
    if len(wanted) and np.all(owners == owners[0]):
        return read(segments[owners[0]], wanted - starts[owners[0]])
    result: dict[int, T] = {}
    for owner in np.unique(owners).tolist():
        positions = np.flatnonzero(owners == owner)
        values = read(segments[owner], wanted[positions] - starts[owner])
        result.update(zip(positions.tolist(), values, strict=True))
    return [result[position] for position in range(len(wanted))]
