"""`attendex delete`: documents out of a collection."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from indexer.commands.options import CollectionArgument, WaitOption
from retrieval.util.terminal import JsonOption, print_json, reports_errors, stderr


@reports_errors
def delete(
    collection: CollectionArgument,
    ids: Annotated[list[str] | None, typer.Argument(help="Ids of documents.", show_default=False)] = None,
    filter: Annotated[str, typer.Option(help="Delete what this filter allows.", show_default=False)] = "",
    wait: WaitOption = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Delete documents by id or by filter, in one commit.

    What was deleted leaves the disk when its segment is merged and its generation is no longer kept; `attendex merge`
    does both at once.

    Examples:

      attendex delete papers 4983 12

      attendex delete papers --filter 'year < 1990 AND NOT pinned'
    """
    from indexer.building.deletion import delete_documents

    if not ids and not filter:
        raise typer.BadParameter("give ids, or --filter", param_hint="IDS")
    report = delete_documents(collection, ids or (), filter=filter, wait_s=wait)
    if as_json:
        print_json(asdict(report))
        return
    missing = f", {report.missing:,} ids were not there" if report.missing else ""
    stderr().print(f"{report.deleted:,} documents deleted{missing}; generation {report.generation}")
