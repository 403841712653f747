"""`attendex keys`: manage the API keys of the service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from retrieval.util.terminal import JsonOption, print_json, reports_errors, stderr, stdout

KeysFile = Annotated[Path, typer.Argument(help="File of keys for `attendex serve --keys`.", show_default=False)]
KeyName = Annotated[str, typer.Argument(help="Name of the key, as the log shows it.", show_default=False)]

keys = typer.Typer(help="Manage API keys.  A running service reads changes within a second.", no_args_is_help=True)


@keys.command("add")
@reports_errors
def add(
    file: KeysFile,
    name: KeyName,
    role: Annotated[str, typer.Option(help="read, write or admin; each includes the ones before.")] = "read",
    collection: Annotated[list[str] | None, typer.Option(help="Only these collections.", show_default=False)] = None,
) -> None:
    """Make a key and print it.

    It cannot be shown again: the file keeps its digest only.

    Examples:

      attendex keys add keys.json website

      attendex keys add keys.json crawler --role write --collection papers
    """
    from service.config.api_keys import add_key

    print(add_key(file, name, role, collection or []))
    stderr().print(f"wrote the digest to {file}; this key cannot be shown again")


@keys.command("rotate")
@reports_errors
def rotate(file: KeysFile, name: KeyName) -> None:
    """Give a key a new secret and print it; the old one stops working.

    Example:

      attendex keys rotate keys.json website
    """
    from service.config.api_keys import rotate_key

    print(rotate_key(file, name))


@keys.command("remove")
@reports_errors
def remove(file: KeysFile, name: KeyName) -> None:
    """Remove a key.

    Example:

      attendex keys remove keys.json website
    """
    from service.config.api_keys import remove_key

    remove_key(file, name)


@keys.command("list")
@reports_errors
def show(file: KeysFile, as_json: JsonOption = False) -> None:
    """List names, roles and collections of the keys, not the keys themselves.

    Example:

      attendex keys list keys.json
    """
    from rich.table import Table

    from service.config.api_keys import read_keys

    kept = read_keys(file)
    if as_json:
        print_json([{"name": k.name, "role": k.role, "collections": k.collections, "created": k.created} for k in kept])
        return
    table = Table("name", "role", "collections", "created", box=None, pad_edge=False)
    for key in kept:
        table.add_row(key.name, key.role, ", ".join(key.collections) or "all", key.created)
    stdout().print(table)
