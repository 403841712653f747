"""`attendex settings`: what the service would run with, and why."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from retrieval.util.terminal import JsonOption, print_json, reports_errors, stdout


@reports_errors
def settings(
    config: Annotated[Path | None, typer.Option(help="Settings file (TOML).", show_default=False)] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting.", show_default=False)
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the page docs/settings.md.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Print the effective settings of `attendex serve`, secrets masked, and where each came from.

    Examples:

      attendex settings

      ATTENDEX_LIMITS__K=50 attendex settings --config attendex.toml --json
    """
    from rich.table import Table

    from service.config.settings import describe, load_settings, parse_assignments, settings_page

    if markdown:
        print(settings_page(), end="")
        return
    flags = parse_assignments(assignments or []) | ({"config": config} if config else {})
    effective = describe(load_settings(flags), flags)
    if as_json:
        print_json([asdict(each) for each in effective])
        return
    table = Table("setting", "value", "from", "meaning", box=None, pad_edge=False)
    for each in effective:
        table.add_row(each.name, str(each.value), each.source, each.help)
    stdout().print(table, markup=False)
