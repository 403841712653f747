"""Merge segments beside the writer; its lock is taken only to commit the result.

Neither readers nor writers wait for the merge.  A document that a writer deletes or replaces meanwhile is deleted in
the merged segment too.  One merge runs at a time; the next writer removes the files of one that was killed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from indexer.writing.commit import CommitOptions, commit_change, write_deletions, write_updates
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
from indexer.writing.pending_segments import PendingSegment, SegmentSize, base_segment, open_base_segments
from indexer.writing.prepare_commit import build_ann_index, plan_ann_index
from indexer.writing.segment_merge import MergePolicy, merge_segments, plan_full_merge
from indexer.writing.segment_writer import new_segment_folder
from indexer.writing.sparse_build import write_sparse_index
from retrieval.errors import CollectionLocked
from retrieval.index.collection.index_reader import IndexReader, open_index_reader
from retrieval.index.collection.metadata_updates import MetadataUpdates, join_updates
from retrieval.index.collection.segment import Segment
from retrieval.index.storage.manifest import Manifest, SegmentRecord, read_manifest
from retrieval.types import Bitmap
from retrieval.util.files import Files, locked, remove_tree

MergePlan = Callable[[Sequence[SegmentSize]], range | None]


@dataclass(frozen=True, slots=True)
class MergeReport:
    """The result of merging; `generation` is the current one afterwards."""

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
    """Merge segments as the policy plans, or `fully`.

    A full merge leaves one segment without deleted documents.  Raises CollectionLocked when another merge runs, or when
    a writer keeps the lock for `wait_s` seconds.
    """
    merger = _Merger(collection, retention or Retention(), wait_s, files or Files())
    plan: MergePlan = plan_full_merge if fully else (policy or MergePolicy()).plan
    read_manifest(collection)  # raises before a lock file is made in a directory that is no collection
    merges = 0
    with locked(collection / MERGE_LOCK, wait_s=1.0):
        while (committed := merger.step(plan)) is not None:
            merges += committed
        if fully:
            merges += merger.compact_inverted_indexes()
            merger.drop_reembedded_segments()
        merger.collect_garbage()
    manifest = read_manifest(collection)
    return MergeReport(manifest.generation, merges, len(manifest.segments), manifest.size_bytes)


class _Merger:
    def __init__(self, collection: Path, retention: Retention, wait_s: float, files: Files) -> None:
        self._collection = collection
        self._retention = retention
        self._wait_s = wait_s
        self._files = files

    def step(self, plan: MergePlan) -> bool | None:
        """Merge once; return whether it was committed in time, None if nothing is due."""
        with open_index_reader(self._collection) as reader:
            segments = [
                base_segment(segment) for segment in reader.segments
            ]  # already open, so a writer may remove the files
            positions = plan([segment.size for segment in segments])
            return None if positions is None else self._merge(reader, segments[positions.start : positions.stop])

    def _merge(self, reader: IndexReader, segments: list[PendingSegment]) -> bool:
        folder = new_segment_folder(self._collection, MERGE_PREFIX, self._files)
        with ExitStack() as undo:
            undo.callback(remove_tree, self._files, folder)
            merged = self._write_merged(reader, segments, folder)

            def change(current: Manifest) -> Manifest | None:
                changed = self._replaced(current, segments, merged)
                if changed is not None:
                    undo.pop_all()
                return changed

            cause = f"merge of {len(segments)} segments" if len(segments) > 1 else "merge"
            options = CommitOptions(self._wait_s, self._retention, self._files)
            return commit_change(self._collection, cause, change, options).committed

    def _write_merged(self, reader: IndexReader, segments: list[PendingSegment], folder: Path) -> SegmentRecord | None:
        """Write the merged segment and its ANN index; return None if no document is live."""
        if not any(segment.live.any() for segment in segments):
            return None
        settings = reader.manifest.settings.vectors
        record = merge_segments(segments, folder, reader.schema, settings.dtype, self._files)
        merged = Segment(self._collection, record)
        plan = plan_ann_index(merged, settings)
        return record if plan is None else build_ann_index(merged, plan, settings, self._files)

    def _replaced(
        self, current: Manifest, segments: list[PendingSegment], merged: SegmentRecord | None
    ) -> Manifest | None:
        """Return the generation with the merged segment; None if its segments changed."""
        names = [segment.record.name for segment in segments]
        current_names = [record.name for record in current.segments]
        start = current_names.index(names[0]) if names[0] in current_names else len(current_names)
        stop = start + len(names)
        if current_names[start:stop] != names:
            return None
        segments_now = open_base_segments(self._collection, current.segments[start:stop])
        live_now = [segment.live for segment in segments_now]
        pairs = list(zip(segments, segments_now, strict=True))
        if any((now.live & ~old.live).any() or _lost_updates(old, now) for old, now in pairs):
            return None  # a rollback restored documents or metadata that the merged segment lacks
        live = np.concatenate([now[segment.live] for now, segment in zip(live_now, segments, strict=True)])
        replacement = self._with_deletions(current.generation + 1, merged, live)
        if replacement and (updates := _updates_since(segments, segments_now)) is not None:
            written = write_updates(self._collection, current.generation + 1, replacement[0], updates, self._files)
            replacement = [replace(replacement[0], updates=written)]
        return replace(current, segments=(*current.segments[:start], *replacement, *current.segments[stop:]))

    def _with_deletions(self, generation: int, merged: SegmentRecord | None, live: Bitmap) -> list[SegmentRecord]:
        """Record documents that were deleted during the merge; [] if none is left."""
        if merged is None or not live.any():
            return []
        document_of = Segment(self._collection, merged).document_of
        deletions = write_deletions(self._collection, generation, merged, live, document_of, self._files)
        return [replace(merged, deletions=deletions)]

    def compact_inverted_indexes(self) -> bool:
        """Remove the terms of deleted passages; return False if there are none."""

        def change(current: Manifest) -> Manifest | None:
            segments = open_base_segments(self._collection, current.segments)
            settings, previous = current.settings.lexical, current.lexical
            lexical = write_lexical_index(self._collection, segments, settings, previous, self._files, compact=True)
            sparse = write_sparse_index(
                self._collection, segments, current.settings.sparse, current.sparse, self._files, compact=True
            )
            changed = replace(current, lexical=lexical, sparse=sparse)
            return None if changed == current else changed

        options = CommitOptions(self._wait_s, None, self._files)
        return commit_change(self._collection, "merge of words", change, options).committed

    def drop_reembedded_segments(self) -> None:
        """Release re-embedded segments, unless `attendex reembed` makes them now."""
        with suppress(CollectionLocked), locked(self._collection / REEMBED_LOCK, wait_s=1.0):
            for marker in self._collection.glob(f"{REEMBED_PREFIX}*"):
                self._files.unlink(marker)

    def collect_garbage(self) -> None:
        """Remove old generations, even if nothing was merged."""
        with locked(self._collection / LOCK, wait_s=self._wait_s):
            collect_garbage(self._collection, self._retention, self._files)


def _updates_since(before: Sequence[PendingSegment], now: Sequence[PendingSegment]) -> MetadataUpdates | None:
    """Return new metadata of merged documents, by their rows in the merged segment.

    They include earlier ones, which the merged segment has already.  None if no document of the segments got any.
    """
    found: list[MetadataUpdates] = []
    first_row = 0
    for old, new in zip(before, now, strict=True):
        if new.segment.updates is not None and new.record.updates != old.record.updates:
            moved = new.segment.updates.moved(old.live, first_row)
            found += [moved] if len(moved) else []
        first_row += int(np.count_nonzero(old.live))
    return join_updates(found)


def _lost_updates(before: PendingSegment, now: PendingSegment) -> bool:
    """Check whether a document that had new metadata has those of its segment again."""
    old, new = before.segment.updates, now.segment.updates
    return old is not None and (new is None or bool(np.setdiff1d(old.rows, new.rows).size))
