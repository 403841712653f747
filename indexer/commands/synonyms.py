"""`attendex synonyms`: show and replace the synonyms of a collection."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from indexer.commands.rule_files import read_lines
from retrieval.commands.options import CollectionArgument, WaitOption
from retrieval.util.terminal import JsonOption, print_json, reports_errors, stderr


@reports_errors
def synonyms(
    collection: CollectionArgument,
    file: Annotated[
        Path | None,
        typer.Argument(help="File of new rules, or - for standard input; default: show the rules.", show_default=False),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Remove all rules.")] = False,
    wait: WaitOption = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Show the synonyms of a collection, or replace them by those of a file.

    A line has one rule: with "tv, television" each word finds the other; with "sneakers => running shoes" the words on
    the left also find those on the right, not the reverse.  New rules make a new generation; `attendex rollback` goes
    back.

    Examples:

      attendex synonyms shop

      attendex synonyms shop synonyms.txt

      echo "sneakers => running shoes" | attendex synonyms shop -
    """
    from indexer.maintenance.change_settings import SettingsChange, change_settings
    from retrieval.index.storage.manifest import read_manifest
    from retrieval.index.storage.synonyms import parse_synonyms

    if clear and file is not None:
        raise typer.BadParameter("give a file or --clear", param_hint="FILE")
    if clear or file is not None:
        rules = parse_synonyms(read_lines(file)) if file is not None else ()
        change_settings(collection, SettingsChange(synonyms=rules), cause="synonyms", wait_s=wait)
    manifest = read_manifest(collection)
    lines = [rule.line for rule in manifest.settings.synonyms]
    if as_json:
        print_json({"generation": manifest.generation, "synonyms": lines})
    elif clear or file is not None:
        stderr().print(f"{len(lines):,} rules of synonyms; generation {manifest.generation}")
    else:
        print("\n".join(lines) or "# no synonyms")
