"""Prepare segments for a commit.

Merge them, build their ANN indexes, write their deletions and new metadata.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from indexer.writing.commit import write_deletions, write_updates
from indexer.writing.pending_segments import PendingSegment, PendingSegments, SegmentOrigin
from indexer.writing.segment_merge import MergePolicy, merge_segments
from indexer.writing.segment_writer import new_segment_folder
from retrieval.index.collection.segment import ANN_INDEX, COPIES, Segment
from retrieval.index.storage.checksums import record_file
from retrieval.index.storage.manifest import AnnIndexRecord, SegmentRecord
from retrieval.index.storage.npy import npy_bytes
from retrieval.index.storage.settings import VectorSettings
from retrieval.index.vectors.build import build_faiss_index
from retrieval.index.vectors.equal_vectors import EqualVectors, find_equal_vectors
from retrieval.index.vectors.index_choice import AnnIndexPlan, choose_ann_index
from retrieval.types import Schema
from retrieval.util.files import Files, write_file

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GenerationTarget:
    """The next generation: its number, its collection, and how to write its segments."""

    collection: Path
    generation: int
    schema: Schema
    vectors: VectorSettings
    files: Files

    @property
    def dtype(self) -> str:
        """The type of the stored vectors: float16 or float32."""
        return self.vectors.dtype

    def new_folder(self) -> Path:
        """Make the folder of a new segment."""
        return new_segment_folder(self.collection, f"{self.generation:06d}", self.files)


def merge_pending(pending: PendingSegments, target: GenerationTarget, policy: MergePolicy, max_passages: int) -> None:
    """Merge the writer's own segments into one, then small neighbours.

    `policy` plans the merges of neighbours.  Segments without a live document are left out.  A planned merge has at
    most `max_passages` live passages.
    """
    segments = pending.segments = [segment for segment in pending.segments if segment.live.any()]
    own = [position for position, segment in enumerate(segments) if segment.origin is not SegmentOrigin.BASE]
    if len(own) > 1:
        _merge_range(segments, range(own[0], own[-1] + 1), target)
    while plan := policy.plan([segment.size for segment in segments], max_passages):
        _merge_range(segments, plan, target)


def _merge_range(segments: list[PendingSegment], positions: range, target: GenerationTarget) -> None:
    merged = segments[positions.start : positions.stop]
    record = merge_segments(merged, target.new_folder(), target.schema, target.dtype, target.files)
    segment = Segment(target.collection, record)
    replacement = PendingSegment(segment, segment.live_documents, SegmentOrigin.NEW)
    segments[positions.start : positions.stop] = [replacement]


def build_ann_indexes(pending: PendingSegments, target: GenerationTarget, write_journal: Callable[[], None]) -> None:
    """Build the ANN indexes that new segments lack.

    The journal is written before each: if this process is killed, the next writer resumes with the segments in it.
    """
    for segment in pending.segments:
        is_new = segment.origin is not SegmentOrigin.BASE
        plan = plan_ann_index(segment.segment, target.vectors) if is_new else None
        if plan is not None:
            write_journal()
            segment.record = build_ann_index(segment.segment, plan, target.vectors, target.files)


@dataclass(frozen=True, slots=True)
class SegmentIndexPlan:
    """The plan of a segment's ANN index, over one vector of each group of equal ones."""

    equal: EqualVectors
    index: AnnIndexPlan


def plan_ann_index(segment: Segment, settings: VectorSettings) -> SegmentIndexPlan | None:
    """Choose the ANN index of a segment; None if it has one or needs none."""
    rows, dimension = segment.vectors.shape
    if segment.record.ann_index is not None or choose_ann_index(rows, dimension, settings) is None:
        return None
    equal = find_equal_vectors(segment.vectors)
    index = choose_ann_index(equal.distinct, dimension, settings)
    return None if index is None else SegmentIndexPlan(equal, index)


def build_ann_index(segment: Segment, plan: SegmentIndexPlan, settings: VectorSettings, files: Files) -> SegmentRecord:
    """Build the ANN index of a segment, and return the record with it.

    The segment is searched exactly if the index misses the target recall.
    """
    folder = segment.folder
    for name in (ANN_INDEX, COPIES):
        files.unlink(folder / name)  # a killed writer may have finished the file and not recorded it
    facts = build_faiss_index(segment.vectors, plan.equal, plan.index, settings.recall, folder / ANN_INDEX, files=files)
    if not facts.reaches_target:
        logger.warning(
            "segment %s: recall@10 of %s is %.3f, below %g; its %d passages are searched exactly, which takes longer",
            *(segment.record.name, facts.factory, facts.recall, settings.recall, len(segment)),
        )
    copies = None
    if len(plan.equal):
        write_file(files, folder / COPIES, npy_bytes(plan.equal.copies))
        copies = record_file(folder, COPIES)
    files.sync_directory(folder)
    return replace(segment.record, ann_index=AnnIndexRecord(record_file(folder, ANN_INDEX), facts.to_json(), copies))


def segment_records(pending: PendingSegments, target: GenerationTarget) -> tuple[SegmentRecord, ...]:
    """Return the records of all segments; write changed deletions and metadata."""
    return tuple(_record(segment, target) for segment in pending.segments)


def _record(pending: PendingSegment, target: GenerationTarget) -> SegmentRecord:
    segment, record = pending.segment, pending.record
    collection, number, files = target.collection, target.generation, target.files
    if pending.updates is not None:
        record = replace(record, updates=write_updates(collection, number, record, pending.updates, files))
    if np.array_equal(pending.live, segment.live_documents):
        return record
    deletions = write_deletions(collection, number, record, pending.live, segment.document_of, files)
    return replace(record, deletions=deletions)
