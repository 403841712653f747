"""`attendex settings`: print the effective settings and their sources."""

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
    """Print the effective settings of `attendex serve` and the source of each.

    Secrets are masked.

    Examples:

      attendex settings

      ATTENDEX_LIMITS__K=50 attendex settings --config attendex.toml --json
    """
    from rich.table import Table

    from service.config.settings import describe, load_settings, parse_assignments
    from service.config.settings_page import settings_page

    if markdown:
        print(settings_page(), end="")
        return
    flags = parse_assignments(assignments or []) | ({"config": config} if config else {})
    effective = describe(load_settings(flags), flags)
    if as_json:
        print_json([asdict(setting) for setting in effective])
        return
    table = Table("setting", "value", "from", "meaning", box=None, pad_edge=False)
    for setting in effective:
        table.add_row(setting.name, str(setting.value), setting.source, setting.help)
    stdout().print(table)
