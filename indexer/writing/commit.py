"""Commit a generation.

The one commit path: lock, read the current manifest, change it, publish it, collect garbage.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from indexer.writing.garbage import LOCK, Retention, collect_garbage
from retrieval.index.collection.metadata_updates import MetadataUpdates, encode_updates, join_updates, read_updates
from retrieval.index.storage.checksums import CheckedFile, record_file
from retrieval.index.storage.manifest import (
    DELETIONS,
    LEXICAL,
    MANIFEST,
    SEGMENTS,
    UPDATES,
    DeletionsRecord,
    Manifest,
    SegmentRecord,
    UpdatesRecord,
    encode_manifest,
    generation_path,
    read_manifest,
)
from retrieval.index.storage.npy import npy_bytes
from retrieval.types import Bitmap, Rows
from retrieval.util.files import Files, locked, write_file
from retrieval.util.temporaries import replace_atomically

_GROWTH = 2  # a file of updates stays as it is if it is more than so many times as large as the next


@dataclass(frozen=True, slots=True)
class CommitOptions:
    """How to commit: lock wait, generations to keep, and file system.

    `retention` None leaves the garbage for the caller to collect.
    """

    wait_s: float = 60.0
    retention: Retention | None = field(default_factory=Retention)
    files: Files = field(default_factory=Files)


@dataclass(frozen=True, slots=True)
class CommitOutcome:
    """The current manifest after `commit_change`, and whether the change made it."""

    manifest: Manifest
    committed: bool


def commit_change(
    collection: Path,
    cause: str,
    change: Callable[[Manifest], Manifest | None],
    options: CommitOptions,
    *,
    obsolete: Sequence[Path] = (),
) -> CommitOutcome:
    """Commit a change of the current generation, under the collection's lock.

    `change` gets the current manifest.  It writes the files of the new generation, each fsynced, and returns its
    manifest, or None to change nothing.  The number, the time and `cause` are set here.  Files in `obsolete` are
    removed after the commit.  Raises CollectionLocked after `options.wait_s` seconds, StorageError, CollectionError.
    """
    with locked(collection / LOCK, wait_s=options.wait_s):
        current = read_manifest(collection)
        changed = change(current)
        if changed is None:
            return CommitOutcome(current, committed=False)
        manifest = replace(changed, generation=current.generation + 1, created=datetime.now(UTC), cause=cause)
        commit_manifest(collection, manifest, options, obsolete=obsolete)
        return CommitOutcome(manifest, committed=True)


def commit_manifest(
    collection: Path, manifest: Manifest, options: CommitOptions, *, obsolete: Sequence[Path] = ()
) -> None:
    """Publish `manifest`, then collect garbage.  The caller holds the lock."""
    publish(collection, manifest, options.files)
    for path in obsolete:
        options.files.unlink(path)
    if options.retention is not None:
        collect_garbage(collection, options.retention, options.files)


def publish(collection: Path, manifest: Manifest, files: Files) -> None:
    """Make `manifest` current.  Its files must be complete and fsynced."""
    publish_kept(collection, manifest, files)
    replace_atomically(collection / MANIFEST, encode_manifest(manifest), files)


def publish_kept(collection: Path, manifest: Manifest, files: Files) -> None:
    """Write the manifest of a generation that is not current yet."""
    for folder in (SEGMENTS, DELETIONS, LEXICAL):
        files.sync_directory(collection / folder)
    replace_atomically(generation_path(collection, manifest.generation), encode_manifest(manifest), files)


def make_current(collection: Path, generation: int, files: Files) -> None:
    """Make a kept generation current, if it is not."""
    data, current = generation_path(collection, generation).read_bytes(), collection / MANIFEST
    if not current.exists() or current.read_bytes() != data:
        replace_atomically(current, data, files)


def write_deletions(
    collection: Path, generation: int, segment: SegmentRecord, live: Bitmap, document_of: Rows, files: Files
) -> DeletionsRecord | None:
    """Write which documents of a segment are deleted; return None if all are live."""
    deleted = int(np.count_nonzero(~live))
    if not deleted:
        return None
    folder, name = collection / DELETIONS, f"{generation:06d}-{segment.name}.npy"
    write_file(files, folder / name, npy_bytes(np.packbits(~live, bitorder="little")))
    return DeletionsRecord(record_file(folder, name), deleted, int(np.count_nonzero(~live[document_of])))


def write_updates(
    collection: Path, generation: int, segment: SegmentRecord, updates: MetadataUpdates, files: Files
) -> tuple[UpdatesRecord, ...]:
    """Write new metadata of a segment; return the records of all its updates.

    Each file has more than twice as many documents as the next: the new file takes in the smaller ones before it.
    """
    kept = list(segment.updates)
    while kept and kept[-1].documents <= _GROWTH * len(updates):
        earlier = read_updates(CheckedFile(collection / UPDATES, kept.pop().file), segment.documents)
        updates = join_updates([earlier, updates]) or updates
    folder, name = collection / UPDATES, f"{generation:06d}-{segment.name}.arrow"
    write_file(files, folder / name, encode_updates(updates))
    files.sync_directory(folder)
    return (*kept, UpdatesRecord(record_file(folder, name), len(updates)))
