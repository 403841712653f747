"""Decide which generations to keep, and remove all other files.

Readers are not disturbed.  A reader keeps the files that it has opened; a reader that is about to open a generation
which disappears opens the current one instead.  Manifests are removed before other files, so that a manifest never
names a removed file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from indexer.writing.record_files import RECORD_FILES
from indexer.writing.resume_journal import JOURNAL, read_journal
from indexer.writing.sync_state import SYNC_FILES
from indexer.writing.sync_status import SYNC_STATUS
from retrieval.errors import CollectionError
from retrieval.index.collection.judgments import JUDGMENTS, JUDGMENTS_LOCK
from retrieval.index.collection.originals import ORIGINALS, ORIGINALS_LOCK, ORIGINALS_TABLE
from retrieval.index.collection.standing_queries import STANDING, STANDING_LOCK
from retrieval.index.storage.manifest import (
    DELETIONS,
    GENERATIONS,
    LEXICAL,
    MANIFEST,
    SEGMENTS,
    UPDATES,
    Manifest,
    generation_path,
    kept_generations,
    read_manifest,
)
from retrieval.index.storage.sharded_manifest import SHARDS, named_generations
from retrieval.util.files import Files, lock_is_held, remove_tree
from retrieval.util.temporaries import is_abandoned, is_temporary, remove_abandoned

LOCK = "lock"
MERGE_LOCK = "merge.lock"
MERGE_PREFIX = "merge"  # of segments that a background merge writes, without the writer's lock
REEMBED_LOCK = "reembed.lock"
REEMBED_PREFIX = "reembed-"  # of re-embedded segments, and of the empty marker file that protects them until their use
FOLDERS = (GENERATIONS, SEGMENTS, DELETIONS, LEXICAL, UPDATES)
LOCKS = (LOCK, MERGE_LOCK, REEMBED_LOCK, JUDGMENTS_LOCK, STANDING_LOCK, ORIGINALS_LOCK)
LASTING_FILES = (
    MANIFEST,
    JUDGMENTS,
    STANDING,
    RECORD_FILES,
    ORIGINALS,
    ORIGINALS_TABLE,
    SYNC_STATUS,
    *SYNC_FILES,
    *LOCKS,
)
COLLECTION_ENTRIES = frozenset({JOURNAL, SHARDS, *LASTING_FILES, *FOLDERS})


@dataclass(frozen=True, slots=True)
class Retention:
    """Generations to keep for `log` and `rollback`.

    These are the `count` newest ones, and all that are younger than `age_s` seconds.
    """

    count: int = 3
    age_s: float = 0.0

    def keeps(self, position: int, created: datetime, now: datetime) -> bool:
        """Check whether to keep a generation; `position` 0 is the newest one."""
        return position < max(1, self.count) or now - created < timedelta(seconds=self.age_s)


def collect_garbage(collection: Path, retention: Retention, files: Files) -> None:
    """Remove old generations and orphaned files.

    Files that a kept generation or an interrupted build names stay, and generations of a shard that its collection
    names.  The manifest is made durable first.  Its writer may have died before it did that, and a power cut would then
    bring back the generation before, whose files must still exist.
    """
    files.sync_directory(collection)
    kept: list[Manifest] = []
    if (collection / MANIFEST).exists():
        current = read_manifest(collection)
        kept = [current, *_keep_older(collection, current, retention, files)]
    numbers = {manifest.generation for manifest in kept}
    kept += [read_manifest(collection, number) for number in named_generations(collection) - numbers]
    for path in orphaned_paths(collection, kept):
        full = collection / path
        if not os.path.lexists(full):  # it was removed with its folder
            continue
        if is_temporary(path.parts[0]):
            remove_abandoned(full, files)
        else:
            remove_tree(files, full)


def _keep_older(collection: Path, current: Manifest, retention: Retention, files: Files) -> list[Manifest]:
    """Return the older generations to keep; remove the manifests of the others."""
    kept = []
    removed = False
    position = 0
    now = datetime.now(UTC)
    named = named_generations(collection)
    for number in reversed(kept_generations(collection)):
        if number == current.generation or number in named:
            continue
        manifest = readable_manifest(collection, number) if number < current.generation else None
        position += manifest is not None
        if manifest and retention.keeps(position, manifest.created, now):
            kept.append(manifest)
        else:
            files.unlink(generation_path(collection, number))
            removed = True
    if removed:
        files.sync_directory(collection / GENERATIONS)
    return kept


def readable_manifest(collection: Path, number: int) -> Manifest | None:
    """Read the manifest of a kept generation; return None if it is damaged."""
    try:
        return read_manifest(collection, number)
    except CollectionError:
        return None


def orphaned_paths(collection: Path, kept: Sequence[Manifest]) -> list[Path]:
    """List the orphaned files and folders.

    They belong to no generation in `kept` and to no unfinished work.  `kept` begins with the current generation.  Paths
    are relative to the collection; a folder comes before its files.
    """
    named = _named_paths(kept)
    unnamed = [Path(name) for name in _entries(collection) if name not in named]
    # Unfinished work is looked up after the files are listed: work that starts in between has no files in the list.
    interrupted = _resumable_segments(collection, kept[0].next_key if kept else 0)
    merging = lock_is_held(collection / MERGE_LOCK)
    reembedded = _reembed_prefixes(collection, kept)
    orphans = []
    for path in unnamed:
        in_merge = merging and path.parts[0] == SEGMENTS and path.parts[1].startswith(MERGE_PREFIX)
        resumable = path.parts[:2] in interrupted or (interrupted and path == Path(JOURNAL))
        resumable = resumable or path.parts[:2][-1].startswith(reembedded)
        if not in_merge and not resumable and _is_own(collection, path):
            orphans.append(path)
    return orphans


def _is_own(collection: Path, path: Path) -> bool:
    """Check whether a writer made an unnamed file; other files stay."""
    top = path.parts[0]
    if len(path.parts) == 1 and is_temporary(top):
        return is_abandoned(collection / path)  # else another process is about to rename it, such as new judgments
    return top in (*FOLDERS, JOURNAL) or top.startswith(REEMBED_PREFIX)


def _named_paths(kept: Sequence[Manifest]) -> set[str]:
    named = {*LASTING_FILES, *FOLDERS}
    for manifest in kept:
        for path in (generation_path(Path(), manifest.generation), *manifest.paths()):
            named |= {str(path), str(path.parent)}
    return named


def _resumable_segments(collection: Path, next_key: int) -> set[tuple[str, ...]]:
    """Return the segment folders of an interrupted build that can be resumed."""
    journal = read_journal(collection)
    if journal is None or journal.base_key != next_key:
        return set()
    return {(SEGMENTS, segment.name) for segment in journal.segments}


def _reembed_prefixes(collection: Path, kept: Sequence[Manifest]) -> tuple[str, ...]:
    """Return the name prefixes of the segments that `attendex reembed` made.

    A marker whose segments the current generation uses was left by a run that died after its commit.  It protects
    nothing, unless another run is at work.
    """
    markers = [path.name for path in collection.glob(f"{REEMBED_PREFIX}*")]
    if markers and lock_is_held(collection / REEMBED_LOCK):
        return tuple(markers)
    used = [segment.name for manifest in kept[:1] for segment in manifest.segments]
    return tuple(marker for marker in markers if not any(name.startswith(marker) for name in used))


def _entries(collection: Path) -> Iterator[str]:
    """Yield all paths below the collection, relative to it.

    They are strings: a commit lists them twice, and `Path` objects cost more.
    """
    for folder, folders, files in os.walk(collection):
        for name in sorted((*folders, *files)):
            yield os.path.relpath(f"{folder}/{name}", collection)
