"""Output of the building commands: progress, plan, summary and problems."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.util.terminal import stderr, stdout

if TYPE_CHECKING:
    from indexer.building.build_plan import BuildPlan
    from indexer.building.pipeline import BuildReport, Progress
    from indexer.readers.base.options import ReadOptions
    from indexer.readers.base.outcomes import FileReport
    from retrieval.encoder.remote.connection import RemoteUsage

SHOWN_PROBLEMS = 20


@contextmanager
def build_progress(sources: Sequence[Path | str], options: ReadOptions) -> Iterator[Callable[[Progress], None] | None]:
    """Show documents, passages per second and remaining time; only on a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    from indexer.building.build_plan import estimate_sources

    size = estimate_sources(sources, options)
    columns = (
        SpinnerColumn(),
        MofNCompleteColumn(),
        TextColumn("documents"),
        BarColumn(),
        TextColumn("{task.description}"),
    )
    started = time.perf_counter()
    with Bar(*columns, TimeRemainingColumn(), console=stderr(), transient=True) as bar:
        line = bar.add_task("reading", total=size.documents if size else None)

        def watch(progress: Progress) -> None:
            speed = progress.passages / (time.perf_counter() - started)
            text = f"{progress.passages:,} passages, {speed:,.0f} a second"
            bar.update(line, completed=progress.documents, description=text)

        yield watch


def show_plan(plan: BuildPlan) -> None:
    """Print the estimated time, disk and memory of a build."""
    from rich.filesize import decimal
    from rich.table import Table

    minutes, seconds = divmod(round(plan.seconds), 60)
    rows = {
        "documents": f"about {plan.documents:,} ({plan.sampled_documents:,} sampled)",
        "passages": f"about {plan.passages:,}",
        "time": f"about {minutes} min {seconds:02d} s, at {plan.passages_per_second:,.0f} passages a second",
        "disk": f"about {decimal(plan.disk_bytes)}",
        "peak memory": f"about {decimal(plan.peak_memory_bytes)}",
        "vectors": plan.ann_index or "searched exactly",
    }
    if plan.windows:
        rows["windows"] = f"about {plan.windows:,}, with vectors of their own"
    if plan.shards:
        rows["shards"] = f"{plan.shards}, of about {plan.passages // plan.shards:,} passages each"
    if plan.workers > 1:
        rows["workers"] = f"{plan.workers}, each at that rate; about {plan.passages // plan.workers:,} passages each"
        rows["memory of a shard"] = f"about {decimal(plan.shard_memory_bytes)}, in the process that writes it"
    if plan.tokens:
        cost = "" if plan.cost is None else f", cost about {plan.cost:,.2f}"
        rows["tokens"] = f"about {plan.tokens:,}{cost}"
    table = Table(show_header=False, box=None)
    table.add_column(style="dim")
    for row in rows.items():
        table.add_row(*row)
    stdout().print(table)


def show_build(report: BuildReport) -> None:
    """Print a summary line, a warning if --sync kept documents, and the fields."""
    console = stderr()
    counts = (
        (report.unchanged, "unchanged"),
        (report.updated, "with new metadata alone"),
        (report.duplicates, "replaced by a later document of the same id"),
        (report.resumed, "taken over from an interrupted run"),
        (report.deleted, "deleted, since the sources no longer have them"),
        (report.bad, "bad and skipped"),
    )
    parts = [f"{report.added:,} documents indexed", *(f"{count:,} {word}" for count, word in counts if count)]
    console.print(
        f"{', '.join(parts)}; {report.collection} generation {report.generation} has {report.documents:,} documents "
        f"in {report.passages:,} passages ({report.seconds:.1f} s, {report.encoder}, {report.runtime}, "
        f"{report.precision})",
    )
    if report.remote is not None:
        console.print(_usage(report.remote))
    if report.kept_unseen:
        deleted = "some documents were not deleted" if report.deleted else "nothing was deleted"
        console.print(f"{deleted}, since some sources could not be read", style="yellow")
    if report.schema:
        fields = ", ".join(f"{name} ({kind})" for name, kind in report.schema.items())
        console.print(f"fields: {fields}")


def _usage(usage: RemoteUsage) -> str:
    """Return a line about the requests to a remote encoder."""
    tokens = f", {usage.tokens:,} tokens by its count" if usage.tokens else ""
    failed = f", {usage.failed_requests:,} failed and repeated" if usage.failed_requests else ""
    cut = f"; {usage.cut_texts:,} texts were too long and were cut" if usage.cut_texts else ""
    return f"remote encoder: {usage.texts:,} texts in {usage.requests:,} requests{tokens}{failed}{cut}"


def show_problems(report: BuildReport) -> None:
    """Print the skipped records and the reasons."""
    console = stderr()
    for problem in report.problems[:SHOWN_PROBLEMS]:
        console.print(f"skipped: {problem}", style="yellow")
    if report.bad > SHOWN_PROBLEMS:
        console.print(f"… and {report.bad - SHOWN_PROBLEMS:,} more; --json or --report lists them", style="yellow")


def show_files(files: FileReport, report: BuildReport) -> None:
    """Print file counts, the files with problems, and other problems."""
    show_file_problems(files)
    shown = files.troubled
    others = [problem for problem in report.problems if not any(file.path in problem for file in shown)]
    console = stderr()
    for problem in others[:SHOWN_PROBLEMS]:
        console.print(f"skipped: {problem}", style="yellow")
    if len(others) > SHOWN_PROBLEMS:
        console.print(f"… and {len(others) - SHOWN_PROBLEMS:,} more problems; --json lists them", style="yellow")


def show_file_problems(files: FileReport) -> None:
    """Print file counts, failed files, and the reasons why others were skipped."""
    from rich.table import Table

    console = stderr()
    console.print(f"files: {files.summary()}")
    table = Table("file", "format", "status", "reason", box=None, header_style="dim")
    for file in files.troubled[:SHOWN_PROBLEMS]:
        table.add_row(file.path, file.format, file.status.value, file.reason)
    if table.row_count:
        console.print(table)
    if files.num_troubled > table.row_count:
        more = files.num_troubled - table.row_count
        console.print(f"… and {more:,} more files with problems; --report FILE lists all of them", style="yellow")
    for reason, skipped in sorted(files.skipped.items(), key=lambda item: -item[1].count):
        others = f" and {skipped.count - 1:,} more" if skipped.count > 1 else ""
        console.print(f"skipped: {reason}: {skipped.first}{others}")
    for command, count in files.without_parser.items():
        console.print(f"files without a parser: {count:,}; to read them, run: {command}", style="bold")
