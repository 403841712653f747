"""`attendex snapshot`: a generation as one file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from indexer.commands.options import CollectionArgument
from retrieval.util.terminal import JsonOption, print_json, reports_errors, stderr


@reports_errors
def snapshot(
    collection: CollectionArgument,
    file: Annotated[Path, typer.Argument(help="The backup to write, FILE.tar.zst.", show_default=False)],
    generation: Annotated[
        int | None, typer.Option(help="Which one, of `attendex log`; default: the current.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Back one generation up, consistently while writers go on, checking every byte on the way.

    Examples:

      attendex snapshot papers papers-2026-01-31.tar.zst
    """
    from indexer.maintenance.backup import save_backup

    report = save_backup(collection, file, generation)
    if as_json:
        print_json(asdict(report))
        return
    stderr().print(
        f"{file}: generation {report.generation}, {report.documents:,} documents, "
        f"{report.files} files of {report.size_bytes:,} bytes",
        markup=False,
        highlight=False,
    )
