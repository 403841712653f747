"""When to merge, and merging: adjacent segments become one without dead documents, in bounded memory.

Sizes are kept in geometric order (O'Neil et al. 1996, "The Log-Structured Merge-Tree"): eight neighbours of about one
size become one of the next, so that a document is copied a few times in the life of a collection and searches see few
segments.  Rows keep their order and passages their keys.
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

from indexer.writing.pending_generation import PendingSegment, SegmentSize
from indexer.writing.segment_writer import seal_segment
from retrieval.index.collection.document_store import BATCH_ROWS, Table, TextWriter, coalesced, metadata_batch
from retrieval.index.collection.segment import VECTORS
from retrieval.index.metadata.schema import arrow_schema
from retrieval.index.storage.manifest import SegmentRecord
from retrieval.index.vectors.store import VectorWriter
from retrieval.types import Bitmap, Schema
from retrieval.util.files import Files

_BLOCK_ROWS = 1 << 14  # vectors copied at a time


@dataclass(frozen=True, slots=True)
class MergePolicy:
    """Which neighbours to merge: `fanout` of about one size, or any segment with too many dead passages."""

    fanout: int = 8
    floor_passages: int = 2048  # smaller segments count as this large
    dead_share: float = 0.3

    def plan(self, sizes: Sequence[SegmentSize], at_most: int | None = None) -> range | None:
        """Places of the segments to merge next, into at most so many passages; None when all is well."""
        plans = [*self._with_many_dead(sizes), *self._of_one_level(sizes)]
        live = [each.live for each in sizes]
        fitting = (each for each in plans if at_most is None or sum(live[each.start : each.stop]) <= at_most)
        return next(fitting, None)

    def _with_many_dead(self, sizes: Sequence[SegmentSize]) -> Iterator[range]:
        for place, size in enumerate(sizes):
            if size.total - size.live > self.dead_share * size.total:
                yield range(place, place + 1)

    def _of_one_level(self, sizes: Sequence[SegmentSize]) -> Iterator[range]:
        levels = [math.log(max(each.live, self.floor_passages), self.fanout) for each in sizes]
        start = 0
        while start < len(levels):
            bottom = max(levels[start:]) - 0.75
            stop = max(place for place in range(start, len(levels)) if levels[place] >= bottom) + 1
            for first in range(start, stop - self.fanout + 1, self.fanout):
                yield range(first, first + self.fanout)
            start = stop


def merge_all(sizes: Sequence[SegmentSize]) -> range | None:
    """The plan that leaves one segment without dead passages."""
    wanted = len(sizes) > 1 or any(each.live < each.total for each in sizes)
    return range(len(sizes)) if wanted else None


def merge_parts(
    parts: Sequence[PendingSegment], folder: Path, schema: Schema, dtype: str, files: Files
) -> SegmentRecord:
    """Write the live documents of `parts` as one new segment into `folder`."""
    batches = _merge_tables(parts, folder, schema, files)
    passages = _merge_vectors(parts, folder / VECTORS, dtype, files)
    ids = np.concatenate([part.segment.ids_by_row()[part.live] for part in parts])
    facts = np.concatenate([part.segment.facts[part.live] for part in parts])
    return seal_segment(folder, batches, ids, np.ones(len(facts), dtype=np.bool_), facts, passages, files)


def _merge_tables(parts: Sequence[PendingSegment], folder: Path, schema: Schema, files: Files) -> NDArray[np.void]:
    sources = {
        Table.DOCUMENTS: _documents(parts),
        Table.PASSAGES: _passages(parts),
        Table.METADATA: _metadata(parts, schema),
    }
    text = TextWriter(folder, files)
    try:
        for table, batches in sources.items():
            for batch in coalesced(batches):
                text.write(table, batch)
        return text.finish()
    except BaseException:
        text.abandon()
        raise


def _documents(parts: Sequence[PendingSegment]) -> Iterator[pa.RecordBatch]:
    for part in parts:
        row = 0
        for batch in part.segment.table(Table.DOCUMENTS).batches():
            yield _allowed(batch, part.live[row : row + batch.num_rows])
            row += batch.num_rows


def _passages(parts: Sequence[PendingSegment]) -> Iterator[pa.RecordBatch]:
    """Passages of live documents, whose rows are counted anew."""
    first = 0
    for part in parts:
        new_rows = first + np.cumsum(part.live) - 1
        first += int(np.count_nonzero(part.live))
        for batch in part.segment.table(Table.PASSAGES).batches():
            kept = _allowed(batch, part.live[np.from_dlpack(batch.column("document"))])
            place = kept.schema.get_field_index("document")
            documents = pa.array(new_rows[np.from_dlpack(kept.column(place))], pa.uint32())
            yield kept.set_column(place, kept.schema.field(place), documents)


def _metadata(parts: Sequence[PendingSegment], schema: Schema) -> Iterator[pa.RecordBatch]:
    target = arrow_schema(schema)
    if not schema:
        yield metadata_batch([], schema)
        return
    for part in parts:
        row = 0
        for batch in _metadata_batches(part):
            count = batch.num_rows or min(BATCH_ROWS, len(part.live) - row)
            columns = [
                batch.column(field.name) if field.name in batch.schema.names else pa.nulls(count, field.type)
                for field in target
            ]
            yield _allowed(pa.RecordBatch.from_arrays(columns, schema=target), part.live[row : row + count])
            row += count


def _metadata_batches(part: PendingSegment) -> Iterator[pa.RecordBatch]:
    """The batches of metadata; of a segment without fields, empty ones for as many rows."""
    table = part.segment.table(Table.METADATA)
    if table.schema.names:
        yield from table.batches()
    else:
        yield from itertools.repeat(metadata_batch([], {}), -(-len(part.live) // BATCH_ROWS))


def _allowed(batch: pa.RecordBatch, mask: Bitmap) -> pa.RecordBatch:
    return batch if mask.all() else batch.filter(pa.array(mask))


def _merge_vectors(parts: Sequence[PendingSegment], path: Path, dtype: str, files: Files) -> int:
    with VectorWriter(path, parts[0].segment.vectors.shape[1], dtype, files) as writer:
        for part in parts:
            rows = np.flatnonzero(part.live[part.segment.document_of])
            for start in range(0, len(rows), _BLOCK_ROWS):
                writer.append(np.asarray(part.segment.vectors[rows[start : start + _BLOCK_ROWS]], dtype=np.float32))
        return writer.rows
