"""Synchronize at intervals, and when a file of a watched folder changes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event

from indexer.building.encoder_loading import load_build_encoder
from indexer.building.pipeline import BuildSettings
from indexer.building.source_sync import SyncReport, check_sources, sync_collection
from indexer.building.sync_record import record_run
from indexer.readers.base.outcomes import FileReport
from indexer.sources.folders import ALWAYS_IGNORED
from indexer.sources.settings import SourceSettings
from indexer.sources.source_table import FOLDER, kind_of
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.errors import AttendexError

LOOK_SECONDS = 1.0  # between two looks at the clock
QUIET_MILLISECONDS = 400  # a change is reported when no other one follows it for so long
MAX_DELAY_MILLISECONDS = 2_000  # but no later than that
RETRY_SECONDS = 30.0  # after a failure
SECOND_LIST_SECONDS = 10.0  # until the second list that lacks an item
LOCK_SECONDS = 60.0


@dataclass(slots=True)
class SyncJob:
    """A collection and its sources; the encoder stays loaded from one run to the next."""

    into: Path
    sources: tuple[SourceSettings, ...]
    settings: BuildSettings = field(default_factory=BuildSettings)
    allow_empty: bool = False
    _encoder: Future[SentenceEncoder] | None = None

    def run(self, sources: Sequence[SourceSettings], report: FileReport) -> SyncReport:
        """Synchronize the collection with some of its sources."""
        try:
            return sync_collection(
                self.into,
                sources,
                self.settings,
                allow_empty=self.allow_empty,
                on_file=report,
                load=self._load,
                wait_s=LOCK_SECONDS,
            )
        except AttendexError:
            self._encoder = None  # the collection may have another one now
            raise

    def _load(self) -> Future[SentenceEncoder]:
        if self._encoder is None:
            settings = self.settings
            loaded = load_build_encoder(self.into, settings.encoder, settings.runtime, settings.precision)
            self._encoder = Future()
            self._encoder.set_result(loaded)
        return self._encoder


def run_jobs(
    jobs: Sequence[SyncJob],
    on_report: Callable[[SyncJob, SyncReport | AttendexError, FileReport], None],
    stop: Event,
    *,
    watch: bool,
) -> None:
    """Synchronize each source at its interval until `stop` is set.

    With `watch`, a change of a file below a folder is a reason, too.  `on_report` gets each result.
    """
    for job in jobs:
        check_sources(job.sources)
    due: dict[tuple[Path, str], float] = {(job.into, each.key): 0.0 for job in jobs for each in job.sources}
    for changed in _looks(jobs, stop, watch=watch):
        for job in jobs:
            now = time.monotonic()
            sources = [each for each in job.sources if now >= due[job.into, each.key] or _has_changed(each, changed)]
            if not sources:
                continue
            with FileReport() as files:
                try:
                    result: SyncReport | AttendexError = job.run(sources, files)
                except AttendexError as error:
                    result = error
                on_report(job, result, files)
            record_run(job.into, sources, result, partial(_pause_s, result))
            for each in sources:
                due[job.into, each.key] = time.monotonic() + _pause_s(result, each)


def _pause_s(result: SyncReport | AttendexError, source: SourceSettings) -> float:
    """Return the seconds until the next synchronization of a source."""
    if isinstance(result, AttendexError):
        return min(RETRY_SECONDS, source.interval_s)
    [report] = [each for each in result.sources if each.source == source.key]
    if report.error:
        return min(RETRY_SECONDS, source.interval_s)
    return min(SECOND_LIST_SECONDS, source.interval_s) if report.missing else source.interval_s


def _looks(jobs: Sequence[SyncJob], stop: Event, *, watch: bool) -> Iterator[frozenset[str]]:
    """Yield the paths that changed, about once a second, until `stop` is set.

    A folder that came or went is a change.  Then the folders are watched anew: a watch follows the folder that it began
    with, wherever that is moved.
    """
    folders: frozenset[str] = frozenset()
    while not stop.is_set():
        before, folders = folders, _existing_folders(jobs) if watch else frozenset()
        moved = frozenset(f"{folder}{os.sep}" for folder in before ^ folders)
        if not folders:
            yield moved
            stop.wait(LOOK_SECONDS)
            continue
        for changed in _changes(sorted(folders), [job.into for job in jobs], stop):
            yield changed | moved  # only now: no change between the list and the watch is missed
            moved = frozenset()
            if _existing_folders(jobs) != folders:
                break


def _existing_folders(jobs: Sequence[SyncJob]) -> frozenset[str]:
    sources = (each for job in jobs for each in job.sources if kind_of(each.source) is FOLDER)
    return frozenset(path for each in sources if Path(path := _absolute(each.source)).is_dir())


def _changes(folders: Sequence[str], collections: Iterable[Path], stop: Event) -> Iterator[frozenset[str]]:
    """Yield the paths that changed below the folders; none after each second.

    The folders are watched from the first call on.
    """
    import watchfiles

    own = tuple(f"{_absolute(path)}{os.sep}" for path in collections)

    def is_wanted(_change: object, path: str) -> bool:
        return not path.startswith(own) and ALWAYS_IGNORED.isdisjoint(Path(path).parts)

    for changes in watchfiles.watch(
        *folders,
        watch_filter=is_wanted,
        debounce=MAX_DELAY_MILLISECONDS,
        step=QUIET_MILLISECONDS,
        stop_event=stop,
        rust_timeout=round(LOOK_SECONDS * 1_000),
        yield_on_timeout=True,
        ignore_permission_denied=True,
    ):
        yield frozenset(path for _, path in changes)


def _has_changed(source: SourceSettings, changed: frozenset[str]) -> bool:
    if not changed or kind_of(source.source) is not FOLDER:
        return False
    folder = f"{_absolute(source.source).rstrip(os.sep)}{os.sep}"
    return any(path.startswith(folder) for path in changed)


def _absolute(path: Path | str) -> str:
    return os.path.abspath(path)  # noqa: PTH100 -- without following links
