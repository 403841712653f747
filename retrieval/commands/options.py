"""What several commands take, said once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from retrieval.metrics.tasks import TaskSource
    from retrieval.types import Mode

DATA, STATISTICS = "Queries and judgments", "Statistics"

Systems: TypeAlias = Annotated[
    list[str], typer.Argument(help="Run files, DIR, DIR:hybrid,weight=0.7, http://host/NAME.", show_default=False)
]
Queries: TypeAlias = Annotated[Path | None, typer.Option(help="Queries: .jsonl or id<TAB>text.", rich_help_panel=DATA)]
Judgments: TypeAlias = Annotated[
    Path | None, typer.Option("--qrels", help="Judgments: TREC, BEIR or JSON.", rich_help_panel=DATA)
]
Beir: TypeAlias = Annotated[Path | None, typer.Option(help="A BEIR folder that has both.", rich_help_panel=DATA)]
Split: TypeAlias = Annotated[str, typer.Option(help="Split of the BEIR folder.", rich_help_panel=DATA)]
Dataset: TypeAlias = Annotated[str, typer.Option(help="An ir_datasets id that has both.", rich_help_panel=DATA)]
Measures: TypeAlias = Annotated[str, typer.Option(help="Measures of ir-measures; the first one decides.")]
Rounds: TypeAlias = Annotated[int, typer.Option(min=99, help="Resamples of each test.", rich_help_panel=STATISTICS)]
Seed: TypeAlias = Annotated[int, typer.Option(min=0, help="Seed of the resamples.", rich_help_panel=STATISTICS)]


def task_source(queries: Path | None, qrels: Path | None, beir: Path | None, split: str, dataset: str) -> TaskSource:
    """Where queries and judgments come from; wrong usage unless exactly one place is given."""
    from retrieval.metrics.tasks import TaskSource

    if sum((qrels is not None, beir is not None, bool(dataset))) != 1:
        raise typer.BadParameter("give one of --qrels (with --queries), --beir, --dataset", param_hint="--qrels")
    return TaskSource(queries, qrels, beir, split, dataset)


def named_mode(name: str) -> Mode | None:
    """The mode of `--mode`, None where it is not given; wrong usage for a name that is none."""
    from retrieval.types import Mode

    if name and name not in list(Mode):
        raise typer.BadParameter(f"{name!r} is none of {', '.join(Mode)}", param_hint="--mode")
    return Mode(name) if name else None
