"""`attendex restore`: a collection from a backup."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from retrieval.util.terminal import JsonOption, print_json, reports_errors, stderr


@reports_errors
def restore(
    file: Annotated[Path, typer.Argument(help="A backup that `attendex snapshot` wrote.", show_default=False)],
    into: Annotated[Path, typer.Argument(help="Directory to make.", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """Make a collection of a backup; it appears when every byte of it is checked.

    Examples:

      attendex restore papers-2026-01-31.tar.zst papers
    """
    from indexer.maintenance.backup import restore_backup

    report = restore_backup(file, into)
    if as_json:
        print_json(asdict(report))
        return
    stderr().print(
        f"{into}: generation {report.generation}, {report.documents:,} documents", markup=False, highlight=False
    )
