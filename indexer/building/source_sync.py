"""Synchronize a collection with sources: read what changed, delete what is gone.

One call lists every source, reads the changed items, and commits one generation; without a change, it commits nothing
and loads no encoder.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from indexer.building.item_changes import SourceChanges, find_changes
from indexer.building.item_documents import ItemDocuments, ItemResult
from indexer.building.pipeline import BuildReport, BuildSettings, Progress, build_from, ignore_file
from indexer.readers.base.outcomes import FileOutcome, FileStatus, printable
from indexer.sources.settings import SourceSettings
from indexer.sources.source import Source, reason_of
from indexer.sources.source_table import kind_of, open_source
from indexer.writing.sync_state import SyncState
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.errors import MissingExtra, SettingsError
from retrieval.index.storage.manifest import read_manifest, was_committed
from retrieval.index.storage.settings import ChunkSettings

REPEATED = "has the id of an earlier item of its source; only the first is kept"


@dataclass(frozen=True, slots=True)
class SourceReport:
    """The result for one source, in numbers of items."""

    source: str
    items: int  # that it lists
    read: int
    unchanged: int
    failed: int  # read, or known from before, without a document or only in part
    deleted: int
    missing: int  # that it lacks, and whose documents stay for now
    repeated: int = 0  # with the id of an earlier item of this source; only the first one is kept
    error: str = ""  # why it could not be listed


@dataclass(frozen=True, slots=True)
class SyncReport:
    """The result of a synchronization.

    `build` is None if no document had to be read or deleted.
    """

    collection: str
    generation: int
    documents: int
    sources: tuple[SourceReport, ...]
    build: BuildReport | None
    seconds: float

    @property
    def has_errors(self) -> bool:
        """Whether a source could not be listed."""
        return any(each.error for each in self.sources)


def sync_collection(
    into: Path,
    sources: Sequence[SourceSettings],
    settings: BuildSettings | None = None,
    *,
    allow_empty: bool = False,
    on_file: Callable[[FileOutcome], None] = ignore_file,
    watch: Callable[[Progress], None] | None = None,
    load: Callable[[], Future[SentenceEncoder]] | None = None,
    wait_s: float = 0.0,
) -> SyncReport:
    """Synchronize the collection `into`, which is made if needed, with its sources.

    Documents of other origin stay.  A source that cannot be listed is reported, and changes nothing.  `settings` are
    those of a new collection; `load` returns its encoder when a document must be encoded.  Raises InputError for wrong
    settings of a source, and what `build_collection` raises; then the collection is as it was.
    """
    started = time.perf_counter()
    check_sources(sources)
    state = SyncState(into)
    with ExitStack() as stack:
        changes = [_changes(each, state, stack, allow_empty=allow_empty) for each in sources]
        for each, _ in changes:
            for outcome in each.problems:
                on_file(outcome)
            for name in each.repeated:
                on_file(FileOutcome(printable(name), FileStatus.SKIPPED, reason=REPEATED, name=name))
        listed = [(each, source) for each, source in changes if source is not None and not each.error]
        supply = ItemDocuments(listed, state, on_file)
        build = None
        if any(each.items or each.gone for each, _ in listed):
            build_settings = replace(settings or BuildSettings(), skip_bad=True)
            chunking = build_settings.chunking or ChunkSettings("passages")
            loading = load() if load else None
            build = build_from(supply, into, build_settings, chunking, watch, wait_s=wait_s, loading=loading)
        elif was_committed(into):
            supply.committed(into)
    reports = tuple(_report(each, supply.results) for each, _ in changes)
    manifest = read_manifest(into) if was_committed(into) else None
    return SyncReport(
        collection=str(into),
        generation=manifest.generation if manifest else 0,
        documents=manifest.documents if manifest else 0,
        sources=reports,
        build=build,
        seconds=time.perf_counter() - started,
    )


def check_sources(sources: Sequence[SourceSettings]) -> None:
    """Raise SettingsError for no source, or for two that are recorded under one name."""
    if not sources:
        raise SettingsError(
            "no source is given; name one with --source, or in a table [[sources]] of the settings file"
        )
    keys = [each.key for each in sources]
    for key in keys:
        if keys.count(key) > 1:
            raise SettingsError(f"{key}: the source is given twice; leave one out")
    for each in sources:
        kind_of(each.source).check(each)


def _changes(
    settings: SourceSettings, state: SyncState, stack: ExitStack, *, allow_empty: bool
) -> tuple[SourceChanges, Source | None]:
    known, items = state.load(settings.key)
    try:
        source = stack.enter_context(open_source(settings))
    except (MissingExtra, SettingsError):
        raise
    except Exception as error:  # such as a server that refuses the password
        return SourceChanges(settings, known, error=reason_of(error)), None
    return find_changes(settings, source, known, items, allow_empty=allow_empty), source


def _report(changes: SourceChanges, results: Sequence[ItemResult]) -> SourceReport:
    own = [result for result in results if result.source == changes.settings.key]
    same = sum(result.is_same for result in own)
    return SourceReport(
        source=changes.settings.key,
        items=changes.listed,
        read=len(own) - same,
        unchanged=changes.unchanged + same,
        failed=sum(bool(result.item.problem) for result in own) + len(changes.problems),
        deleted=len(changes.gone),
        missing=len(changes.missing),
        repeated=len(changes.repeated),
        error=changes.error,
    )


def plan_sync(into: Path, sources: Sequence[SourceSettings], *, allow_empty: bool = False) -> tuple[SourceReport, ...]:
    """Return what `sync_collection` would read and delete; read and change nothing."""
    check_sources(sources)
    state = SyncState(into)
    with ExitStack() as stack:
        changes = [_changes(each, state, stack, allow_empty=allow_empty)[0] for each in sources]
    return tuple(
        SourceReport(
            each.settings.key,
            each.listed,
            len(each.items),
            each.unchanged,
            len(each.problems),
            len(each.gone),
            len(each.missing),
            len(each.repeated),
            each.error,
        )
        for each in changes
    )
