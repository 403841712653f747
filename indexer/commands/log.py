"""`attendex log`: the generations of a collection that are kept."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from indexer.commands.options import CollectionArgument
from retrieval.util.terminal import JsonOption, print_json, reports_errors, stdout

if TYPE_CHECKING:
    from indexer.maintenance.rollback import LogEntry


@reports_errors
def log(collection: CollectionArgument, as_json: JsonOption = False) -> None:
    """Show the generations that are kept, newest first: when and how each was made, and what it holds.

    Examples:

      attendex log papers
    """
    from indexer.maintenance.rollback import log_entries

    entries = log_entries(collection)
    if as_json:
        print_json([_as_json(each) for each in entries])
    else:
        _show(entries)


def _as_json(entry: LogEntry) -> dict[str, object]:
    return {**asdict(entry), "created": entry.created.isoformat() if entry.created else None}


def _show(entries: list[LogEntry]) -> None:
    from rich.table import Table

    table = Table("generation", "created", "documents", "passages", "bytes", "by")
    for entry in entries:
        created = f"{entry.created:%Y-%m-%d %H:%M:%S}" if entry.created else ""
        numbers = (f"{value:,}" for value in (entry.documents, entry.passages, entry.size_bytes))
        current = " (current)" if entry.current else ""
        table.add_row(f"{entry.generation}{current}", created, *numbers, entry.damage or entry.cause)
    stdout().print(table)
