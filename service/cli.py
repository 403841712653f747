"""`attendex`: the commands of the three packages, mounted as one."""

from __future__ import annotations

import typer

app = typer.Typer(
    name="attendex",
    help="Semantic search you can measure: index documents, query them, evaluate the ranking.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Entry point of the `attendex` command."""
    app()
