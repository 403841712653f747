"""List the kept generations of a collection, and roll back to one of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from indexer.writing.commit import CommitOptions, commit_manifest
from indexer.writing.garbage import LOCK, Retention
from indexer.writing.sync_state import SyncState
from retrieval.errors import CollectionError, CorruptCollection, NotACollection
from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.storage.manifest import MANIFEST, Manifest, kept_generations, read_manifest, was_committed
from retrieval.index.storage.sharded_manifest import read_whole_manifest
from retrieval.util.files import Files, locked


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A kept generation; if it is damaged, `damage` says how and the numbers are 0."""

    generation: int
    current: bool
    created: datetime | None
    cause: str
    documents: int
    passages: int
    size_bytes: int
    damage: str = ""


def log_entries(collection: Path) -> list[LogEntry]:
    """List the kept generations, newest first."""
    current = read_whole_manifest(collection).generation
    kept = reversed(kept_generations(collection))
    return [_entry(collection, number, current) for number in kept if number <= current]


def _entry(collection: Path, number: int, current: int) -> LogEntry:
    try:
        manifest = read_whole_manifest(collection, number)
    except CollectionError as error:
        return LogEntry(number, number == current, None, "", 0, 0, 0, str(error))
    return LogEntry(
        generation=number,
        current=number == current,
        created=manifest.created,
        cause=manifest.cause,
        documents=manifest.documents,
        passages=manifest.passages,
        size_bytes=manifest.size_bytes,
    )


def roll_back(
    collection: Path,
    generation: int | None = None,
    *,
    wait_s: float = 0.0,
    retention: Retention | None = None,
    files: Files | None = None,
) -> int:
    """Commit a new generation that equals a kept one; return its number.

    `generation` is by default the one before the current one.  Every byte of it is checked first.  The history stays,
    so that a rollback can be rolled back.
    """
    files = files or Files()
    if not was_committed(collection):
        read_manifest(collection)  # raises the error that names the fault
    with locked(collection / LOCK, wait_s=wait_s):
        current = _current(collection)
        target = _target(collection, current, generation)
        IndexReader(collection, target).check_all()
        newest = max([current.generation if current else 0, *kept_generations(collection)])
        manifest = replace(
            target,
            generation=newest + 1,
            created=datetime.now(UTC),
            cause=f"rollback to generation {target.generation}",
            next_key=max(target.next_key, current.next_key if current else 0),
        )
        SyncState(collection).forget_versions()
        commit_manifest(collection, manifest, CommitOptions(wait_s, retention or Retention(), files))
    return manifest.generation


def _current(collection: Path) -> Manifest | None:
    """Read the current manifest; None if it is damaged, since a rollback repairs it."""
    if not (collection / MANIFEST).exists():
        return None
    try:
        return read_manifest(collection)
    except CorruptCollection:
        return None


def _target(collection: Path, current: Manifest | None, generation: int | None) -> Manifest:
    if generation is not None:
        return read_manifest(collection, generation)
    kept = kept_generations(collection)
    older = [number for number in kept if current is None or number < current.generation]
    if not older:
        raise NotACollection(f"{collection}: no older generation is kept; `attendex log` lists the kept ones")
    return read_manifest(collection, older[-1])
