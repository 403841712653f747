"""Merging beside the writer: the work is done without its lock, which is taken only to publish the result.

Readers are not disturbed, and neither are writers: a document that a writer deletes or replaces meanwhile is dead in
the merged segment too.  One merger at a time; what a killed one leaves goes with the next writer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from indexer.writing.commit import publish, write_deletions
from indexer.writing.garbage import (
    LOCK,
    MERGE_LOCK,
    MERGE_PREFIX,
    REEMBED_LOCK,
    REEMBED_PREFIX,
    Retention,
    collect_garbage,
)
from indexer.writing.lexical_build import write_lexical_index
from indexer.writing.pending_generation import PendingSegment, SegmentOrigin, SegmentSize
from indexer.writing.segment_merge import MergePolicy, merge_all, merge_parts
from indexer.writing.segment_writer import new_segment_folder
from indexer.writing.vector_index_build import build_ann_index, plan_ann_index
from retrieval.errors import CollectionLocked
from retrieval.index.collection.index_reader import IndexReader, open_index_reader
from retrieval.index.collection.segment import Segment
from retrieval.index.storage.manifest import Manifest, SegmentRecord, read_manifest
from retrieval.index.storage.settings import VectorSettings
from retrieval.types import Bitmap
from retrieval.util.files import Files, locked, remove_tree

Plan = Callable[[Sequence[SegmentSize]], range | None]


@dataclass(frozen=True, slots=True)
class MergeReport:
    """What merging did; `generation` is the current one afterwards."""

    generation: int
    merges: int
    segments: int
    size_bytes: int


def merge_collection(
    collection: Path,
    *,
    fully: bool = False,
    policy: MergePolicy | None = None,
    retention: Retention | None = None,
    wait_s: float = 60.0,
    files: Files | None = None,
) -> MergeReport:
    """Merge as the policy has it, or `fully`: into one segment without anything dead in it.

    Raises CollectionLocked when another merger is at work, or no writer lets go for `wait_s` seconds.
    """
    merger = _Merger(collection, retention or Retention(), wait_s, files or Files())
    plan: Plan = merge_all if fully else (policy or MergePolicy()).plan
    read_manifest(collection)  # before a lock file is made in what is no collection
    merges = 0
    with locked(collection / MERGE_LOCK, wait_s=1.0):
        while (published := merger.step(plan)) is not None:
            merges += published
        if fully:
            merges += merger.compact_words()
            merger.give_up_twins()
        merger.collect_garbage()
    manifest = read_manifest(collection)
    return MergeReport(manifest.generation, merges, len(manifest.segments), manifest.size_bytes)


class _Merger:
    def __init__(self, collection: Path, retention: Retention, wait_s: float, files: Files) -> None:
        self._collection = collection
        self._retention = retention
        self._wait_s = wait_s
        self._files = files

    def step(self, plan: Plan) -> bool | None:
        """One merge, and whether it was published or came too late; None when none is wanted."""
        with open_index_reader(self._collection) as reader:
            parts = [PendingSegment(each, each.live_documents, SegmentOrigin.BASE) for each in reader.segments]
            places = plan([part.size for part in parts])
            return None if places is None else self._merge(reader, parts[places.start : places.stop])

    def _merge(self, reader: IndexReader, parts: list[PendingSegment]) -> bool:
        folder = new_segment_folder(self._collection, MERGE_PREFIX, self._files)
        with ExitStack() as undo:
            undo.callback(remove_tree, self._files, folder)
            merged = None
            if any(part.live.any() for part in parts):
                dtype = reader.manifest.settings.vectors.dtype
                merged = merge_parts(parts, folder, reader.schema, dtype, self._files)
                merged = self._with_structure(merged, reader.manifest.settings.vectors)
            with locked(self._collection / LOCK, wait_s=self._wait_s):
                manifest = self._replaced(read_manifest(self._collection), parts, merged)
                if manifest is None:
                    return False
                undo.pop_all()
                publish(self._collection, manifest, self._files)
                collect_garbage(self._collection, self._retention, self._files)
                return True

    def _with_structure(self, record: SegmentRecord, settings: VectorSettings) -> SegmentRecord:
        segment = Segment(self._collection, record)
        plan = plan_ann_index(segment, settings)
        return record if plan is None else build_ann_index(segment, plan, settings, self._files)

    def _replaced(
        self, current: Manifest, parts: list[PendingSegment], merged: SegmentRecord | None
    ) -> Manifest | None:
        """The current generation with the merged segment; None if it is no longer what was merged."""
        names = [part.segment.record.name for part in parts]
        all_names = [each.name for each in current.segments]
        start = all_names.index(names[0]) if names[0] in all_names else len(all_names)
        stop = start + len(names)
        if all_names[start:stop] != names:
            return None
        now = [each.live_documents for each in self._opened(current.segments[start:stop])]
        if any((each & ~part.live).any() for each, part in zip(now, parts, strict=True)):
            return None  # a rollback brought documents back
        live = np.concatenate([each[part.live] for each, part in zip(now, parts, strict=True)])
        before, after = current.segments[:start], current.segments[stop:]
        segments = (*before, *self._with_deletions(current.generation + 1, merged, live), *after)
        return replace(
            current,
            generation=current.generation + 1,
            created=datetime.now(UTC),
            cause=f"merge of {len(parts)} segments" if len(parts) > 1 else "merge",
            segments=segments,
        )

    def compact_words(self) -> bool:
        """Write the lexical index without dead words; False when there are none in it."""
        with locked(self._collection / LOCK, wait_s=self._wait_s):
            current = read_manifest(self._collection)
            parts = [
                PendingSegment(each, each.live_documents, SegmentOrigin.BASE) for each in self._opened(current.segments)
            ]
            settings = current.settings.lexical
            words = write_lexical_index(self._collection, parts, settings, current.lexical, self._files, compact=True)
            if words == current.lexical:
                return False
            number, now = current.generation + 1, datetime.now(UTC)
            manifest = replace(current, generation=number, created=now, cause="merge of words", lexical=words)
            publish(self._collection, manifest, self._files)
            return True

    def _opened(self, records: Sequence[SegmentRecord]) -> list[Segment]:
        return [Segment(self._collection, each) for each in records]

    def _with_deletions(self, generation: int, merged: SegmentRecord | None, live: Bitmap) -> list[SegmentRecord]:
        """The merged segment, without what died while it was made; nothing when all of it did."""
        if merged is None or not live.any():
            return []
        document_of = Segment(self._collection, merged).document_of
        deletions = write_deletions(self._collection, generation, merged, live, document_of, self._files)
        return [replace(merged, deletions=deletions)]

    def give_up_twins(self) -> None:
        """Let go of vectors by another encoder that are not in use, unless they are being made."""
        with suppress(CollectionLocked), locked(self._collection / REEMBED_LOCK, wait_s=1.0):
            for mark in self._collection.glob(f"{REEMBED_PREFIX}*"):
                self._files.unlink(mark)

    def collect_garbage(self) -> None:
        """Remove old generations, also when there was nothing to merge."""
        with locked(self._collection / LOCK, wait_s=self._wait_s):
            collect_garbage(self._collection, self._retention, self._files)
