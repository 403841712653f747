"""`attendex sync`: keep a collection in step with its sources."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from indexer.commands.sync_output import show_sync, show_sync_plan
from retrieval.errors import AttendexError, InputError, SettingsError
from retrieval.util.terminal import FAILURE, JsonOption, option_groups, print_json, reports_errors, stderr

if TYPE_CHECKING:
    from indexer.building.source_sync import SyncReport
    from indexer.building.sync_loop import SyncJob
    from indexer.readers.base.outcomes import FileReport
    from indexer.sources.settings import SourceSettings


@dataclass(frozen=True, slots=True)
class SyncSources:
    """The sources of the command, and their settings."""

    source: Annotated[
        list[str] | None,
        typer.Option(help="Folder, or an address as s3://bucket/prefix; repeatable.", show_default=False),
    ] = None
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of these sources.", show_default=False),
    ] = None
    config: Annotated[
        Path | None, typer.Option(help="Settings file with tables named sources, instead.", show_default=False)
    ] = None
    delete: Annotated[
        str, typer.Option(help="Documents that a source lacks: never, after-seen-missing-twice or now.")
    ] = ""
    allow_empty: Annotated[bool, typer.Option("--allow-empty", help="Believe a source that suddenly has no item.")] = (
        False
    )

    def settings(self, every: str) -> list[SourceSettings]:
        """Return the settings of all sources.  Raises SettingsError."""
        from indexer.sources.settings import parse_sources
        from service.config.settings import load_settings

        changes = {name: value for name, value in (("delete", self.delete), ("every", every)) if value}
        if self.source:
            tables = [{"source": each, **_assigned(self.assignments or []), **changes} for each in self.source]
            return parse_sources(tables)
        if self.assignments:
            raise SettingsError("--set sets the sources of --source; for those of a file, edit its tables [[sources]]")
        sources = load_settings({"config": self.config} if self.config else {}).sources
        return parse_sources([{**each.model_dump(exclude_unset=True), **changes} for each in sources])


@reports_errors
@option_groups
def sync(
    directory: Annotated[
        Path, typer.Argument(help="A collection, or a folder of collections.", metavar="DIR", show_default=False)
    ],
    sources: SyncSources,
    every: Annotated[str, typer.Option(help="Repeat at this interval, as 30s, 10m, 2h or 1d.")] = "",
    watch: Annotated[bool, typer.Option("--watch", help="Repeat, and at once when a file changes.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would be read and deleted; change nothing.")] = False,
    encoder: Annotated[str, typer.Option(help="Encoder of a new collection; default: english-small.")] = "",
    report: Annotated[Path | None, typer.Option(help="Write the result of each item to this JSONL file.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if an item cannot be read.")] = False,
    wait: Annotated[float, typer.Option(help="Seconds to wait for another writer to finish.", min=0.0)] = 0.0,
    as_json: JsonOption = False,
    attached: Annotated[bool, typer.Option("--attached", hidden=True)] = False,
) -> None:
    """Keep a collection in step with its sources.

    Only items with a new version are read, and documents that a source no longer has are deleted.  Documents of other
    origin stay.  The exit code is 1 if a source cannot be listed.

    Examples:

      attendex sync papers --source ~/papers

      attendex sync papers --source ~/papers --watch

      attendex sync papers --source s3://bucket/papers --every 10m --delete now

      attendex sync papers --source sqlite:///shop.db --set 'query="SELECT id, text FROM goods"'

      attendex sync collections --config attendex.toml --watch
    """
    from indexer.building.pipeline import BuildSettings
    from indexer.building.sync_loop import SyncJob

    found = sources.settings(every)
    settings = BuildSettings(encoder=encoder)
    jobs = [
        SyncJob(path, tuple(own), settings, sources.allow_empty)
        for path, own in collections_of(directory, found).items()
    ]
    if plan:
        _plan(jobs, as_json=as_json)
    elif every or watch:
        if report is not None:
            raise typer.BadParameter("is for one run, without --every and --watch", param_hint="--report")
        _repeat(jobs, watch=watch, as_json=as_json, attached=attached)
    else:
        _run_once(jobs, report, wait_s=wait, strict=strict, as_json=as_json)


def _assigned(assignments: Sequence[str]) -> dict[str, Any]:
    """Return the values of NAME=VALUE, read as TOML or else text."""
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise SettingsError(f"--set {assignment}: is not NAME=VALUE")
        try:
            values[name] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            values[name] = text
    return values


def collections_of(directory: Path, sources: Sequence[SourceSettings]) -> dict[Path, list[SourceSettings]]:
    """Return the sources of each collection, by its directory.  Raises SettingsError."""
    from indexer.building.source_sync import check_sources
    from retrieval.index.storage.manifest import was_committed

    if not sources:
        check_sources(sources)
    is_one = was_committed(directory)
    paths: dict[Path, list[SourceSettings]] = {}
    for each in sources:
        if is_one and each.collection not in ("", directory.resolve().name):
            raise SettingsError(f"{each.shown}: is for the collection {each.collection!r}, and {directory} is another")
        if Path(each.collection).name != each.collection:
            raise SettingsError(f"{each.shown}: {each.collection!r} is not the name of a collection")
        paths.setdefault(directory if is_one or not each.collection else directory / each.collection, []).append(each)
    return paths


def _plan(jobs: Sequence[SyncJob], *, as_json: bool) -> None:
    from indexer.building.source_sync import plan_sync

    plans = {str(job.into): plan_sync(job.into, job.sources, allow_empty=job.allow_empty) for job in jobs}
    if as_json:
        print_json({into: [asdict(each) for each in plan] for into, plan in plans.items()})
    else:
        show_sync_plan(plans)
    if any(each.error for plan in plans.values() for each in plan):
        raise typer.Exit(FAILURE)


def _run_once(jobs: Sequence[SyncJob], path: Path | None, *, wait_s: float, strict: bool, as_json: bool) -> None:
    from indexer.readers.base.outcomes import FileReport

    reports, failed = [], False
    with FileReport(path) as files:
        for job in jobs:
            report = _recorded_run(job, files, wait_s)
            failed = failed or report.has_errors
            reports.append(report)
        if as_json:
            counts = {status.value: count for status, count in files.counts.items()}
            print_json([{**asdict(report), "files": counts} for report in reports])
        else:
            for report in reports:
                show_sync(report, files if report is reports[-1] else None)
    if failed or (strict and files.failed):
        raise typer.Exit(FAILURE)


def _recorded_run(job: SyncJob, files: FileReport, wait_s: float) -> SyncReport:
    """Synchronize once, and record how it ended."""
    from indexer.building.source_sync import sync_collection
    from indexer.building.sync_record import record_run
    from indexer.commands.build_output import build_progress
    from indexer.readers.base.options import ReadOptions

    try:
        with build_progress(["-"], ReadOptions()) as watch:
            report = sync_collection(
                job.into,
                job.sources,
                job.settings,
                allow_empty=job.allow_empty,
                on_file=files,
                watch=watch,
                wait_s=wait_s,
            )
    except AttendexError as error:
        record_run(job.into, job.sources, error)
        raise
    record_run(job.into, job.sources, report)
    return report


def _repeat(jobs: Sequence[SyncJob], *, watch: bool, as_json: bool, attached: bool) -> None:
    """Synchronize until a signal, or the end of standard input if it is `attached`."""
    from indexer.building.sync_loop import run_jobs

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    if attached:
        threading.Thread(target=_end_with_input, args=(stop,), daemon=True).start()
    shown: dict[Path, str] = {}

    def on_report(job: SyncJob, result: SyncReport | AttendexError, files: FileReport) -> None:
        text = _line(result, as_json=as_json)
        if text != shown.get(job.into):  # the same failure is reported once
            shown[job.into] = text
            has_news = isinstance(result, AttendexError) or result.build is not None or result.has_errors
            if has_news and as_json:
                print(text, flush=True)
            elif isinstance(result, AttendexError):
                stderr().print(f"{job.into}: {result}", style="red")
            elif has_news:
                show_sync(result, files)

    run_jobs(jobs, on_report, stop, watch=watch)


def _end_with_input(stop: threading.Event) -> None:
    """Set `stop` when standard input ends: the process that started this one is gone."""
    while os.read(sys.stdin.fileno(), 1 << 16):
        pass
    stop.set()


def _line(result: SyncReport | AttendexError, *, as_json: bool) -> str:
    if isinstance(result, AttendexError):
        return json.dumps({"error": str(result), "is_input": isinstance(result, InputError)})
    values = asdict(result)
    if not as_json:
        values.pop("seconds")
    return json.dumps(values)  # in ASCII: names of items are foreign text
