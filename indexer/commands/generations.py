"""`attendex log`, `rollback`, `merge` and `delete`: list and make generations."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.commands.options import CollectionArgument, WaitOption
from retrieval.util.terminal import JsonOption, print_json, reports_errors, stderr, stdout

if TYPE_CHECKING:
    from indexer.maintenance.rollback import LogEntry


@reports_errors
def log(collection: CollectionArgument, as_json: JsonOption = False) -> None:
    """List the kept generations, newest first.

    Examples:

      attendex log papers
    """
    from indexer.maintenance.rollback import log_entries

    entries = log_entries(collection)
    if as_json:
        print_json([{**asdict(entry), "created": entry.created and entry.created.isoformat()} for entry in entries])
    else:
        _show(entries)


def _show(entries: list[LogEntry]) -> None:
    from rich.table import Table

    table = Table("generation", "created", "documents", "passages", "bytes", "by")
    for entry in entries:
        created = f"{entry.created:%Y-%m-%d %H:%M:%S}" if entry.created else ""
        numbers = (f"{value:,}" for value in (entry.documents, entry.passages, entry.size_bytes))
        current = " (current)" if entry.current else ""
        table.add_row(f"{entry.generation}{current}", created, *numbers, entry.damage or entry.cause)
    stdout().print(table)


@reports_errors
def rollback(
    collection: CollectionArgument,
    generation: Annotated[
        int | None, typer.Argument(help="A generation of `attendex log`; default: the one before.", show_default=False)
    ] = None,
    wait: WaitOption = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Go back to a kept generation, after checking every byte of it.

    This makes a new generation with the same content, so you can also undo a rollback.

    Examples:

      attendex rollback papers

      attendex rollback papers 41
    """
    from indexer.maintenance.sharded_changes import roll_back_all

    made = roll_back_all(collection, generation, wait_s=wait)
    if as_json:
        print_json({"generation": made})
    else:
        stderr().print(f"generation {made} is current")


@reports_errors
def merge(
    collection: CollectionArgument,
    needed: Annotated[
        bool, typer.Option("--needed", help="Merge only if there are many small segments or many deletions.")
    ] = False,
    keep: Annotated[int, typer.Option(help="Generations to keep for rollback, including the new one.", min=1)] = 1,
    wait: WaitOption = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Merge the segments of a collection and free the space of deleted documents.

    Searches and writers continue meanwhile.  By default older generations are removed, so deleted text is gone.

    Examples:

      attendex merge papers

      attendex merge papers --needed --keep 3
    """
    from indexer.maintenance.sharded_changes import merge_all
    from indexer.writing.garbage import Retention

    report = merge_all(collection, fully=not needed, retention=Retention(count=keep), wait_s=wait)
    if as_json:
        print_json(asdict(report))
        return
    stderr().print(
        f"{report.merges} merges; generation {report.generation} has {report.segments} segments "
        f"in {report.size_bytes:,} bytes"
    )


@reports_errors
def delete(
    collection: CollectionArgument,
    ids: Annotated[list[str] | None, typer.Argument(help="Ids of documents.", show_default=False)] = None,
    filter: Annotated[str, typer.Option(help="Delete the documents that match this filter.", show_default=False)] = "",
    expired: Annotated[bool, typer.Option("--expired", help="Delete the documents whose time has passed.")] = False,
    wait: WaitOption = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Delete documents by id or by filter, in one commit.

    The data leaves the disk when its segment is merged and its generation is no longer kept; `attendex merge` does
    both.

    Examples:

      attendex delete papers 4983 12

      attendex delete papers --filter 'year < 1990 AND NOT pinned'

      attendex delete offers --expired
    """
    from indexer.building.document_changes import delete_documents

    if not ids and not filter and not expired:
        raise typer.BadParameter("give ids, --filter or --expired", param_hint="IDS")
    report = delete_documents(collection, ids or (), filter=filter, expired=expired, wait_s=wait)
    if as_json:
        print_json(asdict(report))
        return
    missing = f", {report.missing:,} ids not found" if report.missing else ""
    stderr().print(f"{report.deleted:,} documents deleted{missing}; generation {report.generation}")
