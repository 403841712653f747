"""Find the items of a source that changed since the last synchronization."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

from indexer.readers.base.outcomes import FileOutcome, FileStatus
from indexer.sources.folders import NamePatterns
from indexer.sources.settings import DeletePolicy, SourceSettings
from indexer.sources.source import Source, SourceItem, reason_of
from indexer.sources.source_table import kind_of
from indexer.writing.record_files import with_parents
from indexer.writing.sync_state import RecordedItem, RecordedSource
from retrieval.errors import InputError

# The documents of an item depend on these settings, beside its content.
READING = ("prefix", "format", "id_field", "title_field", "text_fields", "query", "version_field")
LISTS_BEFORE_DELETION = {"after-seen-missing-twice": 2, "now": 1}


@dataclass(slots=True)
class SourceChanges:
    """The items of a source to read, and those that it lacks."""

    settings: SourceSettings
    known: RecordedSource = field(default_factory=RecordedSource)  # to record after the commit
    items: list[SourceItem] = field(default_factory=list)  # to fetch
    gone: list[str] = field(default_factory=list)  # names of items whose documents are deleted
    missing: dict[str, RecordedItem] = field(default_factory=dict)  # items that are missing and kept
    found_again: dict[str, RecordedItem] = field(default_factory=dict)  # unchanged ones that were missing before
    problems: list[FileOutcome] = field(default_factory=list)  # of unchanged items, which are not read again
    repeated: list[str] = field(default_factory=list)  # names that the source lists again; the first item counts
    listed: int = 0
    unchanged: int = 0
    error: str = ""  # why the items are unknown; then nothing is deleted


def find_changes(
    settings: SourceSettings,
    source: Source,
    known: RecordedSource,
    items: dict[str, RecordedItem],
    *,
    allow_empty: bool = False,
) -> SourceChanges:
    """Compare the items of a source with those that are known.

    A source that cannot be listed, or that has no item any more without `allow_empty`, has an error and no change.
    """
    changes = SourceChanges(settings, known)
    options = reading_digest(settings)
    try:
        rereads = options != known.options
        must_list = rereads or any(not item.version or item.missing for item in items.values())
        version = source.version("" if must_list else known.version)
        changes.known = RecordedSource(version, options)
        if version and version == known.version and not must_list:
            changes.listed = changes.unchanged = len(items)
            changes.problems = [_outcome(name, item) for name, item in items.items() if item.problem]
            return changes
        listed, changes.repeated = _listed(settings, source)
        if failure := _failed_list(settings, listed):
            return SourceChanges(settings, known, error=failure)
        _compare(changes, listed, items, rereads=rereads)
    except Exception as error:  # a server may send anything; it must not stop the other sources
        return SourceChanges(settings, known, error=reason_of(error))
    if items and not listed and not allow_empty:
        return SourceChanges(
            settings,
            known,
            error=f"gives no item, and gave {len(items):,} before, so nothing was deleted; is it mounted, and the "
            "address right? If it is meant to be empty, give --allow-empty",
        )
    return changes


def reading_digest(settings: SourceSettings) -> str:
    """Return a digest of the options with which items are read."""
    values = repr([getattr(settings, name) for name in READING])
    return hashlib.blake2b(values.encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()


def delete_policy(settings: SourceSettings) -> DeletePolicy:
    """Return when documents of missing items are deleted."""
    if settings.delete is not None:
        return settings.delete
    return "never" if kind_of(settings.source).is_partial else "after-seen-missing-twice"


def _listed(settings: SourceSettings, source: Source) -> tuple[dict[str, SourceItem], list[str]]:
    """Return the items by name, and the names of further ones.  Raises InputError."""
    patterns = NamePatterns(settings.read_options())
    listed: dict[str, SourceItem] = {}
    repeated: list[str] = []
    for item in source.list():
        if not item.failed and not patterns.accepts(item.name.removeprefix(settings.prefix)):
            continue
        if listed.setdefault(item.name, item) is not item:
            repeated.append(item.name)
        if len(listed) + len(repeated) > settings.items:
            raise InputError(f"has more than {settings.items:,} items; raise `items`, or name a part of the source")
    return listed, repeated


def _failed_list(settings: SourceSettings, listed: dict[str, SourceItem]) -> str:
    """Return why the list as a whole failed; "" if it has an item, or is empty."""
    failures = [item.failed for name, item in listed.items() if name.rstrip("/") in _names_of_all(settings)]
    return failures[0] if failures and len(listed) == 1 else ""


def _names_of_all(settings: SourceSettings) -> set[str]:
    """Return the names of an item that stands for all of a source."""
    return {"", settings.prefix.rstrip("/"), settings.source}


def _compare(
    changes: SourceChanges, listed: dict[str, SourceItem], items: dict[str, RecordedItem], *, rereads: bool
) -> None:
    changes.listed = len(listed) + len(changes.repeated)
    for name, item in listed.items():
        before = items.get(name, RecordedItem())
        if rereads or item.failed or not item.version or item.version != before.version:
            changes.items.append(replace(item, known="" if rereads else before.version))
            continue
        changes.unchanged += 1
        if before.problem:
            changes.problems.append(_outcome(name, before))
        if before.missing:
            changes.found_again[name] = replace(before, missing=0)
    _find_missing(changes, listed, items)


def _find_missing(changes: SourceChanges, listed: dict[str, SourceItem], items: dict[str, RecordedItem]) -> None:
    """Decide about each known item that the list lacks.

    An item below a folder that could not be listed is not missing; neither is any if the whole list has a fault.
    """
    settings = changes.settings
    unknown = {name.rstrip("/") for name, item in listed.items() if item.failed}
    if unknown & _names_of_all(settings):
        return
    lists = LISTS_BEFORE_DELETION.get(delete_policy(settings))
    for name in items.keys() - listed.keys():
        if not unknown.isdisjoint(with_parents(name)):
            continue
        item = replace(items[name], missing=items[name].missing + 1)
        if lists is not None and item.missing >= lists:
            changes.gone.append(name)
        elif item.missing == 1 or lists is not None:
            changes.missing[name] = item
    changes.gone.sort()


def _outcome(name: str, item: RecordedItem) -> FileOutcome:
    status = FileStatus.FAILED if item.is_failed else FileStatus.SKIPPED
    return FileOutcome(name, status, reason=item.problem, name=name)
