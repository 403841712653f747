"""Garbage: which generations are kept, and removing every file that none of them names.

Safe under readers: whoever holds a generation's files keeps them, and whoever is just opening one that goes away opens
the current one instead.  Manifests go first, so that a manifest never names a file
that has been removed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from indexer.writing.resume_journal import JOURNAL, read_journal
from retrieval.errors import CollectionError
from retrieval.index.collection.judgments import JUDGMENTS, JUDGMENTS_LOCK
from retrieval.index.storage.manifest import (
    DELETIONS,
    GENERATIONS,
    LEXICAL,
    MANIFEST,
    SEGMENTS,
    Manifest,
    generation_path,
    kept_generations,
    read_manifest,
)
from retrieval.util.files import Files, lock_is_held, remove_tree

LOCK = "lock"
MERGE_LOCK = "merge.lock"
MERGE_PREFIX = "merge"  # segments in the making outside of the writer's lock
REEMBED_LOCK = "reembed.lock"
REEMBED_PREFIX = "reembed-"  # twins of segments by another encoder, and the empty file that keeps them until used
FOLDERS = (GENERATIONS, SEGMENTS, DELETIONS, LEXICAL)
NAMES = frozenset({MANIFEST, JOURNAL, LOCK, MERGE_LOCK, REEMBED_LOCK, JUDGMENTS, JUDGMENTS_LOCK, *FOLDERS})


@dataclass(frozen=True, slots=True)
class Retention:
    """Which generations stay for `log` and `rollback`: the newest `count`, and those younger than `age_s` seconds."""

    count: int = 3
    age_s: float = 0.0

    def keeps(self, place: int, created: datetime, now: datetime) -> bool:
        """Whether to keep the generation that is `place`-th newest, from 0."""
        return place < max(1, self.count) or now - created < timedelta(seconds=self.age_s)


def collect_garbage(collection: Path, retention: Retention, files: Files) -> None:
    """Remove old generations and every file that belongs neither to a kept one nor to an interrupted build.

    Before that, the manifest is made sure of: its writer may have died before it was, and what a power cut would
    bring back must not have lost its files.
    """
    files.sync_directory(collection)
    kept: list[Manifest] = []
    if (collection / MANIFEST).exists():
        current = read_manifest(collection)
        kept = [current, *_kept(collection, current, retention, files)]
    for path in orphaned_paths(collection, kept):
        full = collection / path
        if full.is_dir() and not full.is_symlink():
            remove_tree(files, full)
        elif full.exists() or full.is_symlink():  # not gone with its folder
            files.unlink(full)


def _kept(collection: Path, current: Manifest, retention: Retention, files: Files) -> list[Manifest]:
    """Older generations that stay; the manifests of the others are removed."""
    kept = []
    removed = False
    place = 0
    now = datetime.now(UTC)
    for number in reversed(kept_generations(collection)):
        if number == current.generation:
            continue
        manifest = readable_manifest(collection, number) if number < current.generation else None
        place += manifest is not None
        if manifest and retention.keeps(place, manifest.created, now):
            kept.append(manifest)
        else:
            files.unlink(generation_path(collection, number))
            removed = True
    if removed:
        files.sync_directory(collection / GENERATIONS)
    return kept


def readable_manifest(collection: Path, number: int) -> Manifest | None:
    """A kept generation; None where it is damaged."""
    try:
        return read_manifest(collection, number)
    except CollectionError:
        return None


def orphaned_paths(collection: Path, kept: Sequence[Manifest]) -> list[Path]:
    """What lies in the collection and belongs to none of `kept`, whose first is the current generation.

    Paths are relative to the collection; a folder stands before what it holds.  What is being made is asked for after
    the look at what is there: whoever begins in between has nothing there yet.
    """
    named = _named(kept)
    unnamed = [Path(name) for name in _entries(collection) if name not in named]
    interrupted = _interrupted(collection, kept[0].next_key if kept else 0)
    merging = lock_is_held(collection / MERGE_LOCK)
    twins = _twins(collection, kept)
    orphans = []
    for path in unnamed:
        in_the_making = merging and path.parts[0] == SEGMENTS and path.parts[1].startswith(MERGE_PREFIX)
        resumable = path.parts[:2] in interrupted or (interrupted and path == Path(JOURNAL))
        resumable = resumable or path.parts[:2][-1].startswith(twins)
        if not in_the_making and not resumable:
            orphans.append(path)
    return orphans


def _named(kept: Sequence[Manifest]) -> set[str]:
    named = {MANIFEST, LOCK, MERGE_LOCK, REEMBED_LOCK, JUDGMENTS, JUDGMENTS_LOCK, *FOLDERS}
    for manifest in kept:
        for path in (generation_path(Path(), manifest.generation), *manifest.paths()):
            named |= {str(path), str(path.parent)}
    return named


def _interrupted(collection: Path, next_key: int) -> set[tuple[str, ...]]:
    """Folders of the segments of an interrupted build that can still be taken over, with all that is in them."""
    journal = read_journal(collection)
    if journal is None or journal.base_key != next_key:
        return set()
    return {(SEGMENTS, each.name) for each in journal.segments}


def _twins(collection: Path, kept: Sequence[Manifest]) -> tuple[str, ...]:
    """Prefixes of the segments that `attendex reembed` has made so far.

    A mark that the current generation uses was left by a run that died when it had switched, unless another is at work.
    """
    marks = [path.name for path in collection.glob(f"{REEMBED_PREFIX}*")]
    if marks and lock_is_held(collection / REEMBED_LOCK):
        return tuple(marks)
    used = [segment.name for manifest in kept[:1] for segment in manifest.segments]
    return tuple(mark for mark in marks if not any(name.startswith(mark) for name in used))


def _entries(collection: Path) -> Iterator[str]:
    """Everything below the collection, relative to it.  As text: a commit looks twice, and paths cost more."""
    for folder, folders, files in os.walk(collection):
        for name in sorted((*folders, *files)):
            yield os.path.relpath(f"{folder}/{name}", collection)
