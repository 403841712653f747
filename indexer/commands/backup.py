"""`attendex snapshot` and `restore`: back up a generation to a file; restore it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from retrieval.commands.options import CollectionArgument
from retrieval.util.terminal import JsonOption, print_json, reports_errors, stderr


@reports_errors
def snapshot(
    collection: CollectionArgument,
    file: Annotated[Path, typer.Argument(help="Backup to write, FILE.tar.zst.", show_default=False)],
    generation: Annotated[
        int | None, typer.Option(help="A generation of `attendex log`; default: the current one.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Back up one generation and the judgments to a file, and check every byte.

    The backup is consistent, even if writers continue meanwhile.

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
        f"{report.files} files of {report.size_bytes:,} bytes, {report.judgments:,} judgments",
    )


@reports_errors
def restore(
    file: Annotated[Path, typer.Argument(help="Backup from `attendex snapshot`.", show_default=False)],
    into: Annotated[Path, typer.Argument(help="Directory to create.", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """Restore a collection from a backup; it appears only after every byte is checked.

    Examples:

      attendex restore papers-2026-01-31.tar.zst papers
    """
    from indexer.maintenance.backup import restore_backup

    report = restore_backup(file, into)
    if as_json:
        print_json(asdict(report))
        return
    stderr().print(
        f"{into}: generation {report.generation}, {report.documents:,} documents, {report.judgments:,} judgments",
    )
