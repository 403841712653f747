"""`attendex interleaved`: the outcome of interleaved comparisons in a query log."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from retrieval.util.terminal import JsonOption, print_json, reports_errors, stdout


@reports_errors
def interleaved(
    log: Annotated[Path, typer.Argument(help="Query log of a collection.", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """Tell which of two searches users clicked more, in a service's query log.

    A search of an interleaved comparison is won by the setting whose hits got more clicks. The sign test asks how
    likely so unequal numbers of wins are if users like both settings equally.

    Examples:

      attendex interleaved log/papers
    """
    from rich.table import Table

    from retrieval.metrics.comparison import format_p
    from retrieval.metrics.interleaving import interleaved_outcomes
    from retrieval.metrics.query_log import read_records

    found = interleaved_outcomes(read_records(log))
    if as_json:
        print_json({"comparisons": [asdict(each) for each in found]})
        return
    if not found:
        stdout().print("the log has no interleaved searches; POST …/search/interleaved makes them")
        return
    table = Table("comparison", "searches", "A wins", "B wins", "ties", "without clicks", "sign test", box=None)
    for each in found:
        numbers = (each.searches, each.wins_a, each.wins_b, each.ties, each.without_clicks)
        table.add_row(each.name, *(f"{number:,}" for number in numbers), format_p(each.p))
    stdout().print(table)
