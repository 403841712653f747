"""Commit a generation of a sharded collection; repair an interrupted commit.

The writers of the shards first write their generations, complete but not current.  Then one file, the manifest of the
sharded collection, names all of them: this is the commit.  Then the shards make these generations current.  A process
that is killed before the commit leaves generations that no manifest names, which the next writer removes; the segments
stay in the journals of the shards.  A process that is killed after it leaves shards with an older current generation,
which the next writer replaces.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from indexer.writing.calibration import MIN_PASSAGES, is_outdated, measure_background, of_calibrated
from indexer.writing.commit import make_current
from indexer.writing.garbage import LOCK, Retention, collect_garbage
from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.collection.sharded_reader import ShardedReader
from retrieval.index.storage.manifest import (
    GENERATIONS,
    MANIFEST,
    Manifest,
    generation_path,
    kept_generations,
)
from retrieval.index.storage.sharded_manifest import (
    SHARDS,
    ShardedManifest,
    encode_sharded_manifest,
    read_sharded_manifest,
    shard_path,
    shard_paths,
)
from retrieval.protocols import Encoder
from retrieval.util.files import Files, locked, remove_tree
from retrieval.util.temporaries import replace_atomically


def publish_shards(collection: Path, manifest: ShardedManifest, files: Files) -> None:
    """Make `manifest` current.  The generations of the shards must be complete."""
    if not (collection / GENERATIONS).exists():
        files.make_directory(collection / GENERATIONS)
    files.sync_directory(collection)
    data = encode_sharded_manifest(manifest)
    replace_atomically(collection / MANIFEST, data, files)
    replace_atomically(generation_path(collection, manifest.generation), data, files)


def commit_shards(collection: Path, manifest: ShardedManifest, retention: Retention, files: Files) -> None:
    """Make all generations that `manifest` names current, then remove old ones.

    The caller holds the locks of the collection and of its shards.
    """
    publish_shards(collection, manifest, files)
    remove_old_generations(collection, retention, files)
    for record, folder in zip(manifest.shards, shard_paths(collection, manifest), strict=True):
        make_current(folder, record.generation, files)
        collect_garbage(folder, retention, files)


def shards_locked(collection: Path, manifest: ShardedManifest, wait_s: float, lock: str = LOCK) -> ExitStack:
    """Return a context in which each shard is locked.  Raises CollectionLocked."""
    with ExitStack() as locks:
        for folder in shard_paths(collection, manifest):
            locks.enter_context(locked(folder / lock, wait_s=wait_s))
        return locks.pop_all()


def next_generation(current: ShardedManifest, cause: str) -> ShardedManifest:
    """Return the manifest after `current`, with the number and the time set."""
    return replace(current, generation=current.generation + 1, created=datetime.now(UTC), cause=cause)


def settle_shards(collection: Path, current: ShardedManifest | None, names: Sequence[str], files: Files) -> None:
    """Give each shard the state that the current manifest names.

    The caller holds the lock of the collection.  Shards of other names than `names` are removed.
    """
    if current and not generation_path(collection, current.generation).exists():
        publish_shards(collection, current, files)
    folders = [path for path in (collection / SHARDS).glob("*") if path.is_dir()]
    for folder in folders:
        if folder.name not in names:
            remove_tree(files, folder)
    named = {each.name: each.generation for each in current.shards} if current else {}
    for name in names:
        _settle(shard_path(collection, name), named.get(name, 0), files)


def _settle(shard: Path, generation: int, files: Files) -> None:
    if generation:
        make_current(shard, generation, files)
    for number in kept_generations(shard):
        if number > generation:
            files.unlink(generation_path(shard, number))


def remove_old_generations(collection: Path, retention: Retention, files: Files) -> None:
    """Remove the manifests of older generations of a sharded collection."""
    now = datetime.now(UTC)
    current = read_sharded_manifest(collection).generation
    for position, number in enumerate(reversed(kept_generations(collection))):
        created = read_sharded_manifest(collection, number).created if number <= current else now
        if number > current or not retention.keeps(position, created, now):
            files.unlink(generation_path(collection, number))


def calibrated_shards(
    collection: Path, manifest: ShardedManifest, shards: Sequence[Manifest], encoder: Encoder
) -> ShardedManifest:
    """Return the manifest with a background of all `shards`, new if it is outdated."""
    passages = sum(each.passages for each in shards)
    if passages < MIN_PASSAGES or not is_outdated(manifest.background, passages):
        return manifest
    named = zip(manifest.shards, shards, strict=True)
    readers = [IndexReader(shard_path(collection, record.name), each) for record, each in named]
    with ShardedReader(collection, manifest, readers) as reader:
        background = measure_background(reader, encoder)
    if background is None:
        return manifest
    settings = manifest.settings
    if manifest.background is None and settings.search.weight is not None:
        settings = replace(settings, search=of_calibrated(settings.search.weight, background))
    return replace(manifest, settings=settings, background=background)
