"""Merge adjacent segments into one without deleted documents.

Memory is bounded.  Sizes stay in geometric order (O'Neil et al. 1996, "The Log-Structured Merge-Tree"): eight
neighbours of about one size become one of the next size.  A document is thus copied a few times in the life of a
collection, and a search reads few segments.  Rows keep their order, and passages keep their keys.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from indexer.writing.pending_segments import PendingSegment, SegmentSize
from indexer.writing.segment_writer import seal_segment
from retrieval.index.collection.document_store import (
    BATCH_ROWS,
    SegmentTable,
    SegmentTableWriter,
    complete_documents_batch,
    merge_batches,
    metadata_batch,
)
from retrieval.index.collection.segment import VECTORS
from retrieval.index.metadata.columns import arrow_schema
from retrieval.index.storage.manifest import SegmentRecord
from retrieval.index.vectors.store import VectorWriter
from retrieval.index.vectors.token_store import TOKEN_FILES, TokenWriter
from retrieval.index.vectors.window_store import WINDOW_FILES, WindowWriter
from retrieval.types import Bitmap, Schema
from retrieval.util.files import Files

_BLOCK_ROWS = 1 << 14  # vectors copied at a time
_TOKEN_ROWS = 1 << 10  # passages whose token codes or windows are copied at a time


@dataclass(frozen=True, slots=True)
class MergePolicy:
    """Merge neighbours of about one size, and segments with many deletions.

    `fanout` neighbours make one segment.
    """

    fanout: int = 8
    floor_passages: int = 2048  # smaller segments count as this large
    dead_share: float = 0.3

    def plan(self, sizes: Sequence[SegmentSize], max_passages: int | None = None) -> range | None:
        """Return the positions of the segments to merge next; None if no merge is due.

        The merged segment has at most `max_passages` live passages.
        """
        plans = [*self._with_many_deletions(sizes), *self._of_one_level(sizes)]
        live = [size.live for size in sizes]
        fitting = (plan for plan in plans if max_passages is None or sum(live[plan.start : plan.stop]) <= max_passages)
        return next(fitting, None)

    def _with_many_deletions(self, sizes: Sequence[SegmentSize]) -> Iterator[range]:
        for position, size in enumerate(sizes):
            if size.total - size.live > self.dead_share * size.total:
                yield range(position, position + 1)

    def _of_one_level(self, sizes: Sequence[SegmentSize]) -> Iterator[range]:
        levels = [math.log(max(size.live, self.floor_passages), self.fanout) for size in sizes]
        start = 0
        while start < len(levels):
            bottom = max(levels[start:]) - 0.75
            stop = max(position for position in range(start, len(levels)) if levels[position] >= bottom) + 1
            for first in range(start, stop - self.fanout + 1, self.fanout):
                yield range(first, first + self.fanout)
            start = stop


def plan_full_merge(sizes: Sequence[SegmentSize]) -> range | None:
    """Plan one merge into one segment without deletions; None if not needed."""
    needed = len(sizes) > 1 or any(size.live < size.total for size in sizes)
    return range(len(sizes)) if needed else None


def merge_segments(
    segments: Sequence[PendingSegment], folder: Path, schema: Schema, dtype: str, files: Files
) -> SegmentRecord:
    """Write the live documents of the segments as one new segment into `folder`."""
    batches = _merge_tables(segments, folder, schema, files)
    passages = _merge_vectors(segments, folder / VECTORS, dtype, files)
    more_files = (*_merge_tokens(segments, folder, files), *_merge_windows(segments, folder, dtype, files))
    ids = np.concatenate([pending.segment.ids_by_row()[pending.live] for pending in segments])
    facts = np.concatenate([pending.segment.facts[pending.live] for pending in segments])
    return seal_segment(folder, batches, ids, np.ones(len(facts), dtype=np.bool_), facts, passages, files, more_files)


def _merge_tables(segments: Sequence[PendingSegment], folder: Path, schema: Schema, files: Files) -> NDArray[np.void]:
    sources = {
        SegmentTable.DOCUMENTS: _documents(segments),
        SegmentTable.PASSAGES: _passages(segments),
        SegmentTable.METADATA: _metadata(segments, schema),
    }
    text = SegmentTableWriter(folder, files)
    try:
        for table, batches in sources.items():
            for batch in merge_batches(batches):
                text.write(table, batch)
        return text.finish()
    except BaseException:
        text.abandon()
        raise


def _documents(segments: Sequence[PendingSegment]) -> Iterator[pa.RecordBatch]:
    for pending in segments:
        row = 0
        for batch in pending.segment.table(SegmentTable.DOCUMENTS).batches():
            yield _filter_rows(complete_documents_batch(batch), pending.live[row : row + batch.num_rows])
            row += batch.num_rows


def _passages(segments: Sequence[PendingSegment]) -> Iterator[pa.RecordBatch]:
    """Yield the passages of live documents, with the new rows of their documents."""
    first = 0
    for pending in segments:
        new_rows = first + np.cumsum(pending.live) - 1
        first += int(np.count_nonzero(pending.live))
        for batch in pending.segment.table(SegmentTable.PASSAGES).batches():
            kept = _filter_rows(batch, pending.live[np.from_dlpack(batch.column("document"))])
            column = kept.schema.get_field_index("document")
            documents = pa.array(new_rows[np.from_dlpack(kept.column(column))], pa.uint32())
            yield kept.set_column(column, kept.schema.field(column), documents)


def _metadata(segments: Sequence[PendingSegment], schema: Schema) -> Iterator[pa.RecordBatch]:
    target = arrow_schema(schema)
    if not schema:
        yield metadata_batch([], schema)
        return
    for pending in segments:
        row = 0
        for batch in _metadata_batches(pending):
            count = batch.num_rows or min(BATCH_ROWS, len(pending.live) - row)
            columns = [
                batch.column(field.name) if field.name in batch.schema.names else pa.nulls(count, field.type)
                for field in target
            ]
            yield _filter_rows(pa.RecordBatch.from_arrays(columns, schema=target), pending.live[row : row + count])
            row += count


def _metadata_batches(pending: PendingSegment) -> Iterator[pa.RecordBatch]:
    """Yield the metadata of a segment.

    A segment without fields gives empty batches that stand for as many rows.
    """
    table = pending.segment.table(SegmentTable.METADATA)
    if table.schema.names:
        yield from table.batches()
    else:
        yield from itertools.repeat(metadata_batch([], {}), -(-len(pending.live) // BATCH_ROWS))


def _filter_rows(batch: pa.RecordBatch, mask: Bitmap) -> pa.RecordBatch:
    return batch if mask.all() else batch.filter(pa.array(mask))


def _merge_vectors(segments: Sequence[PendingSegment], path: Path, dtype: str, files: Files) -> int:
    with VectorWriter(path, segments[0].segment.vectors.shape[1], dtype, files) as writer:
        for pending in segments:
            rows = np.flatnonzero(pending.live[pending.segment.document_of])
            for start in range(0, len(rows), _BLOCK_ROWS):
                writer.append(np.asarray(pending.segment.vectors[rows[start : start + _BLOCK_ROWS]], dtype=np.float32))
        return writer.rows


def _merge_tokens(segments: Sequence[PendingSegment], folder: Path, files: Files) -> Sequence[str]:
    """Copy the token codes of live passages; return the names of the files, if any."""
    first = segments[0].segment.tokens
    if first is None:
        return ()
    writer = TokenWriter(folder, first.dimension, first.width, files)
    try:
        for pending in segments:
            assert pending.segment.tokens is not None, "all segments of a collection store token vectors, or none"
            rows = np.flatnonzero(pending.live[pending.segment.document_of])
            for start in range(0, len(rows), _TOKEN_ROWS):
                writer.append(pending.segment.tokens.take(rows[start : start + _TOKEN_ROWS]))
        writer.close()
    except BaseException:
        writer.abandon()
        raise
    return TOKEN_FILES


def _merge_windows(segments: Sequence[PendingSegment], folder: Path, dtype: str, files: Files) -> Sequence[str]:
    """Copy the windows of live passages; return the names of the files, if any."""
    stored = [pending.segment.windows for pending in segments]
    if stored[0] is None:
        return ()
    with WindowWriter(folder, stored[0].vectors.shape[1], dtype, files) as writer:
        for pending, windows in zip(segments, stored, strict=True):
            assert windows is not None, "all segments of a collection have windows, or none"
            rows = np.flatnonzero(pending.live[pending.segment.document_of])
            for start in range(0, len(rows), _TOKEN_ROWS):
                writer.append(windows.take(rows[start : start + _TOKEN_ROWS]))
    return WINDOW_FILES
