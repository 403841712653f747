"""`attendex merge`: one segment, and nothing dead on disk."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from indexer.commands.options import CollectionArgument, WaitOption
from retrieval.util.terminal import JsonOption, print_json, reports_errors, stderr


@reports_errors
def merge(
    collection: CollectionArgument,
    needed: Annotated[
        bool, typer.Option("--needed", help="Only where many small or half-dead segments make it worthwhile.")
    ] = False,
    keep: Annotated[int, typer.Option(help="Generations to keep for rollback, the new one included.", min=1)] = 1,
    wait: WaitOption = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Merge the segments of a collection and give the space of deleted documents back.

    Searches and writers go on meanwhile.  By default older generations are forgotten, so that deleted text is gone.

    Examples:

      attendex merge papers

      attendex merge papers --needed --keep 3
    """
    from indexer.maintenance.background_merge import merge_collection
    from indexer.writing.garbage import Retention

    report = merge_collection(collection, fully=not needed, retention=Retention(count=keep), wait_s=wait)
    if as_json:
        print_json(asdict(report))
        return
    stderr().print(
        f"{report.merges} merges; generation {report.generation} has {report.segments} segments "
        f"in {report.size_bytes:,} bytes"
    )
