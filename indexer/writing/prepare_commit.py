"""The segments of a pending generation made ready for its manifest: merged, with structures and deletions, durable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from indexer.writing.commit import write_deletions
from indexer.writing.pending_generation import PendingSegment, PendingSegments, SegmentOrigin
from indexer.writing.segment_merge import MergePolicy, merge_parts
from indexer.writing.segment_writer import new_segment_folder
from indexer.writing.vector_index_build import build_ann_index, plan_ann_index
from retrieval.index.collection.segment import Segment
from retrieval.index.storage.manifest import SegmentRecord
from retrieval.index.storage.settings import VectorSettings
from retrieval.types import Schema
from retrieval.util.files import Files


@dataclass(frozen=True, slots=True)
class GenerationTarget:
    """The generation in the making: its number, where it is made, and how its segments are written."""

    collection: Path
    generation: int
    schema: Schema
    vectors: VectorSettings
    files: Files

    @property
    def dtype(self) -> str:
        """Of the vectors that are kept."""
        return self.vectors.dtype

    def new_folder(self) -> Path:
        """A fresh folder for a segment."""
        return new_segment_folder(self.collection, f"{self.generation:06d}", self.files)


def merge_pending(pending: PendingSegments, making: GenerationTarget, policy: MergePolicy, at_most: int) -> None:
    """Make one segment of the writer's own ones, and merge small neighbours as the policy has it."""
    parts = pending.parts = [part for part in pending.parts if part.live.any()]
    own = [place for place, part in enumerate(parts) if part.origin is not SegmentOrigin.BASE]
    if len(own) > 1:
        _merge_places(parts, range(own[0], own[-1] + 1), making)
    while plan := policy.plan([part.size for part in parts], at_most):
        _merge_places(parts, plan, making)


def _merge_places(parts: list[PendingSegment], places: range, making: GenerationTarget) -> None:
    merged = parts[places.start : places.stop]
    record = merge_parts(merged, making.new_folder(), making.schema, making.dtype, making.files)
    segment = Segment(making.collection, record)
    parts[places.start : places.stop] = [PendingSegment(segment, segment.live_documents, SegmentOrigin.NEW)]


def build_structures(pending: PendingSegments, making: GenerationTarget, write_journal: Callable[[], None]) -> None:
    """Build what new segments lack; killed meanwhile, the next writer goes on with those that the journal names."""
    for part in pending.parts:
        plan = plan_ann_index(part.segment, making.vectors) if part.origin is not SegmentOrigin.BASE else None
        if plan is not None:
            write_journal()
            part.record = build_ann_index(part.segment, plan, making.vectors, making.files)


def segment_records(pending: PendingSegments, making: GenerationTarget) -> tuple[SegmentRecord, ...]:
    """The segments with their deletions, which are written unless they are those of the base."""
    return tuple(_record(part, making) for part in pending.parts)


def _record(part: PendingSegment, making: GenerationTarget) -> SegmentRecord:
    segment = part.segment
    if np.array_equal(part.live, segment.live_documents):
        return part.record
    number, document_of = making.generation, segment.document_of
    deletions = write_deletions(making.collection, number, segment.record, part.live, document_of, making.files)
    return replace(part.record, deletions=deletions)
