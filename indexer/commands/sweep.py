"""`attendex sweep`: measure a collection under every combination of some settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.commands.evaluation_output import progress_bar
from retrieval.commands.options import CollectionArgument, TaskOptions, named_mode
from retrieval.search.fusion_methods import DEFAULT_FUSION, FUSIONS
from retrieval.util.terminal import JsonOption, option_groups, print_json, reports_errors, stdout

if TYPE_CHECKING:
    from rich.text import Text

    from indexer.evaluation.sweep import Grid, SweepPoint

_COLD, _WARM = (33, 60, 110), (196, 98, 16)  # colours of the least and the greatest value


@reports_errors
@option_groups
def sweep(
    collection: CollectionArgument,
    task: TaskOptions,
    grid: Annotated[str, typer.Option(help='Settings and their values: "k1=0.6,0.9,1.2 b=0.4,0.75".')],
    measure: Annotated[str, typer.Option(help="Measure of ir-measures.")] = "nDCG@10",
    mode: Annotated[str, typer.Option(help="dense, lexical, sparse or hybrid; default: the collection's.")] = "",
    fusion: Annotated[
        str, typer.Option(help=f"Fusion method of hybrid mode: {' or '.join(FUSIONS)}.")
    ] = DEFAULT_FUSION,
    as_json: JsonOption = False,
) -> None:
    """Measure a collection under every combination of some search settings.

    The settings are k1, b and short of BM25, title_weight, and the parameters of fusion: weight, feedback and others.
    Each query is encoded once.  Two settings make a map.  The best point was chosen on these queries, so its value is
    optimistic: `attendex tune` measures a choice by cross-validation.

    Examples:

      attendex sweep scifact --beir data/scifact --mode lexical --grid "k1=0.6,0.9,1.2 b=0.4,0.75"

      attendex sweep scifact --beir data/scifact --split train --grid "weight=0.4,0.5,0.6,0.7"
    """
    from indexer.evaluation.sweep import parse_grid
    from indexer.evaluation.sweep import sweep as measure_grid
    from retrieval.metrics.tasks import read_task
    from retrieval.types import SearchRequest

    values = parse_grid(grid)
    template = SearchRequest("", mode=named_mode(mode), fusion=fusion)
    with progress_bar("points measured", 0) as watch:
        points = measure_grid(collection, read_task(task.source()), measure, values, template, watch=watch)
    best = max(points, key=lambda point: point.mean)
    if as_json:
        print_json({"measure": measure, "points": [asdict(point) for point in points], "best": asdict(best)})
        return
    _show(values, points)
    chosen = ", ".join(f"{name} {value:g}" for name, value in best.settings.items())
    stdout().print(f"best {measure}: {best.mean:.4f} with {chosen}; `attendex tune` shows whether the gain holds")


def _show(grid: Grid, points: Sequence[SweepPoint]) -> None:
    """Print the points: two settings as a map, others as a list."""
    from rich.table import Table

    names = list(grid)
    columns = grid[names[1]] if len(names) == 2 else ()
    table = Table(f"{names[0]} ↓  {names[1]} →", *(f"{value:g}" for value in columns)) if columns else Table(*names, "")
    cells = _coloured([point.mean for point in points])
    for start in range(0, len(points), len(columns) or 1):
        first = points[start].settings
        shown = [names[0]] if columns else names
        table.add_row(*(f"{first[name]:g}" for name in shown), *cells[start : start + (len(columns) or 1)])
    stdout().print(table)


def _coloured(values: Sequence[float]) -> list[Text]:
    """Return the values on colours from cold to warm, the greatest in bold."""
    from rich.text import Text

    low, high = min(values), max(values)
    cells = []
    for value in values:
        share = (value - low) / ((high - low) or 1.0)
        red, green, blue = (round(a + share * (b - a)) for a, b in zip(_COLD, _WARM, strict=True))
        weight = "bold " if value == high else ""
        cells.append(Text(f"{value:.4f}", f"{weight}rgb(255,255,255) on rgb({red},{green},{blue})"))
    return cells
