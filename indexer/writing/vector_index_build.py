"""The approximate structure of a finished segment: planned from the collection's settings, built, and recorded."""

from __future__ import annotations

from dataclasses import replace

from retrieval.index.collection.segment import STRUCTURE, Segment
from retrieval.index.storage.checksums import record_file
from retrieval.index.storage.manifest import SegmentRecord, StructureRecord
from retrieval.index.storage.settings import VectorSettings
from retrieval.index.vectors.build import build_structure
from retrieval.index.vectors.index_choice import StructurePlan, plan_structure
from retrieval.util.files import Files


def plan_ann_index(segment: Segment, settings: VectorSettings) -> StructurePlan | None:
    """What to build over a segment that has no structure yet; None where exact search is right."""
    if segment.record.structure is not None:
        return None
    rows, dimension = segment.vectors.shape
    return plan_structure(rows, dimension, settings)


def build_ann_index(segment: Segment, plan: StructurePlan, settings: VectorSettings, files: Files) -> SegmentRecord:
    """Build the structure into the segment's folder; returns the record that names it."""
    files.unlink(segment.folder / STRUCTURE)  # finished by a writer that died before it could be recorded
    facts = build_structure(segment.vectors, plan, settings.recall, segment.folder / STRUCTURE, files=files)
    files.sync_directory(segment.folder)
    return replace(segment.record, structure=StructureRecord(record_file(segment.folder, STRUCTURE), facts.to_json()))
