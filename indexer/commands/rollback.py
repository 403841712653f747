"""`attendex rollback`: back to a generation that is kept."""

from __future__ import annotations

from typing import Annotated

import typer

from indexer.commands.options import CollectionArgument, WaitOption
from retrieval.util.terminal import JsonOption, print_json, reports_errors, stderr


@reports_errors
def rollback(
    collection: CollectionArgument,
    generation: Annotated[
        int | None, typer.Argument(help="Which one, of `attendex log`; default: the one before.", show_default=False)
    ] = None,
    wait: WaitOption = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Make a new generation that equals a kept one, after checking every byte of it.

    The history stays, so a rollback can be rolled back.

    Examples:

      attendex rollback papers

      attendex rollback papers 41
    """
    from indexer.maintenance.rollback import roll_back

    made = roll_back(collection, generation, wait_s=wait)
    if as_json:
        print_json({"generation": made})
    else:
        stderr().print(f"generation {made} is current")
