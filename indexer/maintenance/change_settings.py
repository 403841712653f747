"""Change the settings of a collection.

A new generation has the same documents, searched in another way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from indexer.writing.commit import CommitOptions, commit_change
from indexer.writing.lexical_build import write_lexical_index
from indexer.writing.pending_segments import open_base_segments
from retrieval.errors import InputError
from retrieval.index.metadata.filters import known_field
from retrieval.index.storage.manifest import Manifest, PostingsRecord, read_manifest
from retrieval.index.storage.pins import PinRule
from retrieval.index.storage.settings import CollectionSettings, SearchDefaults
from retrieval.index.storage.synonyms import SynonymRule
from retrieval.util.files import Files


@dataclass(frozen=True, slots=True)
class SettingsChange:
    """Settings to change, by name; the other settings stay."""

    lexical: Mapping[str, Any] = field(default_factory=dict)
    search: SearchDefaults | None = None
    synonyms: tuple[SynonymRule, ...] | None = None
    pins: tuple[PinRule, ...] | None = None
    check: Callable[[CollectionSettings], None] | None = None  # raises if the change does not suit the present ones


def change_settings(
    collection: Path, change: SettingsChange, *, cause: str = "adjust", wait_s: float = 60.0, files: Files | None = None
) -> int:
    """Commit a generation with the changed settings.

    Return the number of the current generation.  The lexical index is written again only if the settings need it.
    Raises InputError for lexical settings that are out of range or that a collection without a lexical index cannot
    have, CollectionLocked, StorageError.
    """
    files = files or Files()
    check_lexical(collection, change.lexical)  # raises before a lock file is made in a directory that is no collection

    def apply(current: Manifest) -> Manifest | None:
        if change.check is not None:
            change.check(current.settings)
        settings = _changed(current, change)
        if settings == current.settings:
            return None
        return replace(current, settings=settings, lexical=_lexical_index(collection, current, settings, files))

    outcome = commit_change(collection, cause, apply, CommitOptions(wait_s, files=files))
    return outcome.manifest.generation


def check_lexical(collection: Path, changes: Mapping[str, Any]) -> None:
    """Raise InputError if a collection cannot have these lexical settings."""
    _changed(read_manifest(collection), SettingsChange(changes))


def _changed(current: Manifest, change: SettingsChange) -> CollectionSettings:
    settings = current.settings
    for name, _ in change.lexical.get("searched", ()):
        if name != "id":
            known_field(name, current.schema, "searched fields")
    synonyms = settings.synonyms if change.synonyms is None else change.synonyms
    pins = settings.pins if change.pins is None else change.pins
    settings = replace(settings, search=change.search or settings.search, synonyms=synonyms, pins=pins)
    named = (*change.lexical, *(["synonyms"] if change.synonyms else []))
    if settings.lexical is None:
        if named:
            raise InputError(
                f"the collection has no lexical index, so {', '.join(named)} cannot be set; "
                "index into a new directory to get one"
            )
        return settings
    return replace(settings, lexical=replace(settings.lexical, **change.lexical))


def _lexical_index(
    collection: Path, current: Manifest, settings: CollectionSettings, files: Files
) -> PostingsRecord | None:
    before, after = current.settings.lexical, settings.lexical
    if after is None or (before and before.same_postings(after)):
        return current.lexical
    segments = open_base_segments(collection, current.segments)
    return write_lexical_index(collection, segments, settings.lexical, None, files)
