"""Other settings for the same documents: a new generation that differs from the one before in how it is searched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from indexer.writing.commit import publish
from indexer.writing.garbage import LOCK, Retention, collect_garbage
from indexer.writing.lexical_build import write_lexical_index
from indexer.writing.pending_generation import PendingSegment, SegmentOrigin
from retrieval.errors import InputError
from retrieval.index.collection.segment import Segment
from retrieval.index.storage.manifest import LexicalRecord, Manifest, read_manifest
from retrieval.index.storage.settings import CollectionSettings, SearchDefaults
from retrieval.util.files import Files, locked


@dataclass(frozen=True, slots=True)
class SettingsChange:
    """Settings to change, by name; what is not named stays."""

    lexical: Mapping[str, float] = field(default_factory=dict)
    search: SearchDefaults | None = None


def change_settings(
    collection: Path,
    adjustment: SettingsChange,
    *,
    cause: str = "adjust",
    wait_s: float = 60.0,
    files: Files | None = None,
) -> int:
    """Commit a generation with the adjusted settings; returns its number.

    The lexical index is written again only where the settings need it.  Raises InputError for lexical settings of a
    collection without words or out of their range, CollectionLocked, StorageError.
    """
    files = files or Files()
    read_manifest(collection)  # before a lock file is made in what is no collection
    with locked(collection / LOCK, wait_s=wait_s):
        current = read_manifest(collection)
        settings = _adjusted(current.settings, adjustment)
        if settings == current.settings:
            return current.generation
        manifest = replace(
            current,
            generation=current.generation + 1,
            created=datetime.now(UTC),
            cause=cause,
            settings=settings,
            lexical=_words(collection, current, settings, files),
        )
        publish(collection, manifest, files)
        collect_garbage(collection, Retention(), files)
    return manifest.generation


def _adjusted(settings: CollectionSettings, adjustment: SettingsChange) -> CollectionSettings:
    search = adjustment.search or settings.search
    if not adjustment.lexical:
        return replace(settings, search=search)
    if settings.lexical is None:
        raise InputError(f"the collection has no words, so that {', '.join(adjustment.lexical)} cannot be set")
    changes: dict[str, Any] = dict(adjustment.lexical)
    return replace(settings, search=search, lexical=replace(settings.lexical, **changes))


def _words(collection: Path, current: Manifest, settings: CollectionSettings, files: Files) -> LexicalRecord | None:
    before, after = current.settings.lexical, settings.lexical
    if after is None or (before and replace(before, k1=after.k1, b=after.b) == after):  # used in searches only
        return current.lexical
    segments = [Segment(collection, each) for each in current.segments]
    parts = [PendingSegment(each, each.live_documents, SegmentOrigin.BASE) for each in segments]
    return write_lexical_index(collection, parts, settings.lexical, None, files)
