"""`attendex pins`: show and replace the pins of a collection."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from indexer.commands.rule_files import read_lines
from retrieval.commands.options import CollectionArgument, WaitOption
from retrieval.util.terminal import JsonOption, print_json, reports_errors, stderr


@reports_errors
def pins(
    collection: CollectionArgument,
    file: Annotated[
        Path | None,
        typer.Argument(help="File of new pins, or - for standard input; default: show the pins.", show_default=False),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Remove all pins.")] = False,
    wait: WaitOption = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Show the documents that come first for some queries, or replace them.

    A line of the file is a JSON object: queries, and the ids of the documents that come first for them.  New pins make
    a new generation; `attendex rollback` goes back.

    Examples:

      attendex pins shop

      attendex pins shop pins.jsonl

      echo '{"queries": ["rain jacket", "raincoat"], "documents": ["sku-17"]}' | attendex pins shop -
    """
    from indexer.maintenance.change_settings import SettingsChange, change_settings
    from retrieval.index.storage.manifest import read_manifest
    from retrieval.index.storage.pins import parse_pins, pin_line

    if clear and file is not None:
        raise typer.BadParameter("give a file or --clear", param_hint="FILE")
    if clear or file is not None:
        rules = parse_pins(read_lines(file)) if file is not None else ()
        change_settings(collection, SettingsChange(pins=rules), cause="pins", wait_s=wait)
    manifest = read_manifest(collection)
    if as_json:
        print_json({"generation": manifest.generation, "pins": [asdict(rule) for rule in manifest.settings.pins]})
    elif clear or file is not None:
        stderr().print(f"{len(manifest.settings.pins):,} pins; generation {manifest.generation}")
    else:
        print("\n".join(map(pin_line, manifest.settings.pins)))
