"""The generations of a collection: which are kept, and going back to one of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from indexer.writing.commit import publish
from indexer.writing.garbage import LOCK, Retention, collect_garbage
from retrieval.errors import CollectionError, CorruptCollection, NotACollection
from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.storage.manifest import MANIFEST, Manifest, kept_generations, read_manifest, was_committed
from retrieval.util.files import Files, locked


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One kept generation; `damage` says why it cannot be read, and then the numbers are 0."""

    generation: int
    current: bool
    created: datetime | None
    cause: str
    documents: int
    passages: int
    size_bytes: int
    damage: str = ""


def log_entries(collection: Path) -> list[LogEntry]:
    """Kept generations, newest first."""
    current = read_manifest(collection).generation
    return [_entry(collection, each, current) for each in reversed(kept_generations(collection)) if each <= current]


def _entry(collection: Path, number: int, current: int) -> LogEntry:
    try:
        manifest = read_manifest(collection, number)
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
    """Commit a new generation that equals a kept one (by default the one before the current); returns its number.

    Every byte of that generation is checked first.  The history stays: rolling back can be rolled back.
    """
    files = files or Files()
    if not was_committed(collection):
        read_manifest(collection)  # says what is wrong
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
        publish(collection, manifest, files)
        collect_garbage(collection, retention or Retention(), files)
    return manifest.generation


def _current(collection: Path) -> Manifest | None:
    """The current manifest; None when it is damaged or gone, which is a reason to roll back and not to fail."""
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
    older = [each for each in kept if current is None or each < current.generation]
    if not older:
        raise NotACollection(f"{collection}: no older generation is kept; `attendex log` shows what is there")
    return read_manifest(collection, older[-1])
