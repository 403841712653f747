"""Output of `attendex sync`: the plan, the summary, and the items with problems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from indexer.commands.build_output import show_file_problems
from retrieval.util.terminal import stderr, stdout

if TYPE_CHECKING:
    from indexer.building.source_sync import SourceReport, SyncReport
    from indexer.readers.base.outcomes import FileReport


def show_sync(report: SyncReport, files: FileReport | None) -> None:
    """Print a line for each source and one for the collection, then the problems."""
    console = stderr()
    for source in report.sources:
        if source.error:
            console.print(f"{source.source}: {source.error}", style="red")
        else:
            console.print(f"{source.source}: {_counts(source)}")
    build = report.build
    changes = "no change; "
    if build and (build.added or build.updated or build.deleted):
        repeated = f" ({build.duplicates:,} replaced by a later one of the same id)" if build.duplicates else ""
        changes = f"{build.added:,} documents indexed{repeated}, {build.deleted:,} deleted; "
    console.print(
        f"{changes}{report.collection} generation {report.generation} has {report.documents:,} documents "
        f"({report.seconds:.1f} s)"
    )
    if files is not None:
        show_file_problems(files)


def show_sync_plan(plans: Mapping[str, Sequence[SourceReport]]) -> None:
    """Print what a synchronization would read and delete."""
    console = stdout()
    for into, sources in plans.items():
        for source in sources:
            detail = source.error or _counts(source).replace(" read", " to read").replace(" deleted", " to delete")
            console.print(f"{into}: {source.source}: {detail}")


def _counts(source: SourceReport) -> str:
    parts = [f"{source.items:,} items", f"{source.read:,} read", f"{source.unchanged:,} unchanged"]
    parts += [f"{source.failed:,} with problems"] if source.failed else []
    parts += [f"{source.deleted:,} deleted"] if source.deleted else []
    parts += [f"{source.missing:,} missing, kept for now"] if source.missing else []
    parts += [f"{source.repeated:,} left out, with the id of another"] if source.repeated else []
    return ", ".join(parts)
