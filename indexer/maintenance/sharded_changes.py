"""Merge and roll back a collection, sharded or not.

The shards of a sharded collection first get their new generations, and then one manifest names all of them.  A process
that is killed before leaves the generations that were current; the next writer removes the others.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from indexer.maintenance.background_merge import MergeReport, merge_collection
from indexer.maintenance.rollback import roll_back
from indexer.writing.commit import publish_kept
from indexer.writing.garbage import LOCK, Retention, readable_manifest
from indexer.writing.sharded_commit import commit_shards, next_generation, settle_shards, shards_locked
from indexer.writing.sync_state import SyncState
from retrieval.errors import CorruptCollection, NotACollection
from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.storage.manifest import kept_generations, read_manifest
from retrieval.index.storage.sharded_manifest import (
    SHARDS,
    ShardedManifest,
    ShardRecord,
    is_sharded,
    read_sharded_manifest,
    shard_path,
    shard_paths,
)
from retrieval.util.files import Files, locked


def merge_all(
    collection: Path,
    *,
    fully: bool = False,
    retention: Retention | None = None,
    wait_s: float = 60.0,
    files: Files | None = None,
) -> MergeReport:
    """Merge the segments of a collection, as `merge_collection` does.

    Of a sharded one, each shard is merged.  Its writers wait meanwhile, its readers do not.
    """
    retention, files = retention or Retention(), files or Files()
    if not is_sharded(collection):
        return merge_collection(collection, fully=fully, retention=retention, wait_s=wait_s, files=files)
    with locked(collection / LOCK, wait_s=wait_s):
        current = read_sharded_manifest(collection)
        settle_shards(collection, current, [each.name for each in current.shards], files)
        reports = [
            merge_collection(folder, fully=fully, retention=retention, wait_s=wait_s, files=files)
            for folder in shard_paths(collection, current)
        ]
        records = [replace(old, generation=new.generation) for old, new in zip(current.shards, reports, strict=True)]
        merged = replace(current, shards=tuple(records))
        if merged != current:
            merged = next_generation(merged, f"merge of {len(records)} shards")
        with shards_locked(collection, merged, wait_s):
            commit_shards(collection, merged, retention, files)
    return MergeReport(
        merged.generation,
        sum(each.merges for each in reports),
        sum(each.segments for each in reports),
        sum(each.size_bytes for each in reports),
    )


def roll_back_all(
    collection: Path,
    generation: int | None = None,
    *,
    wait_s: float = 0.0,
    retention: Retention | None = None,
    files: Files | None = None,
) -> int:
    """Commit a generation that equals a kept one, as `roll_back` does."""
    retention, files = retention or Retention(), files or Files()
    if not (collection / SHARDS).is_dir():
        return roll_back(collection, generation, wait_s=wait_s, retention=retention, files=files)
    with locked(collection / LOCK, wait_s=wait_s):
        current = _current(collection)
        if current is not None:
            settle_shards(collection, current, [each.name for each in current.shards], files)
        target = _target(collection, current, generation)
        with shards_locked(collection, target, wait_s):
            records = [_rolled_back(collection, each, files) for each in target.shards]
            newest = max([current.generation if current else 0, *kept_generations(collection)])
            cause = f"rollback to generation {target.generation}"
            manifest = next_generation(replace(target, generation=newest, shards=tuple(records)), cause)
            SyncState(collection).forget_versions()
            commit_shards(collection, manifest, retention, files)
    return manifest.generation


def _current(collection: Path) -> ShardedManifest | None:
    """Read the current manifest; None if it is damaged, since a rollback repairs it."""
    try:
        return read_sharded_manifest(collection)
    except (CorruptCollection, NotACollection):
        return None


def _target(collection: Path, current: ShardedManifest | None, generation: int | None) -> ShardedManifest:
    if generation is not None:
        return read_sharded_manifest(collection, generation)
    older = [each for each in kept_generations(collection) if current is None or each < current.generation]
    if not older:
        raise NotACollection(f"{collection}: no older generation is kept; `attendex log` lists the kept ones")
    return read_sharded_manifest(collection, older[-1])


def _rolled_back(collection: Path, record: ShardRecord, files: Files) -> ShardRecord:
    """Write a generation of a shard that equals a kept one, which is checked first."""
    folder = shard_path(collection, record.name)
    target = read_manifest(folder, record.generation)
    with IndexReader(folder, target) as reader:
        reader.check_all()
    kept = kept_generations(folder)
    readable = [each for each in (readable_manifest(folder, number) for number in kept) if each is not None]
    manifest = replace(
        target,
        generation=max(kept) + 1,
        created=datetime.now(UTC),
        cause=f"rollback to generation {target.generation}",
        next_key=max(each.next_key for each in readable),
    )
    publish_kept(folder, manifest, files)
    return ShardRecord(record.name, manifest.generation)
