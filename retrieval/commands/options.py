"""Arguments and option groups that several commands share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias, TypeVar

import typer

if TYPE_CHECKING:
    from retrieval.metrics.tasks import TaskSource
    from retrieval.types import Mode, Syntax

E = TypeVar("E", bound=StrEnum)

DATA, STATISTICS = "Queries and judgments", "Statistics"

CollectionArgument: TypeAlias = Annotated[Path, typer.Argument(help="Directory of the collection.", show_default=False)]
WaitOption: TypeAlias = Annotated[float, typer.Option(help="Seconds to wait for another writer to finish.", min=0.0)]
Systems: TypeAlias = Annotated[
    list[str], typer.Argument(help="Run files, DIR, DIR:hybrid,weight=0.7, http://host/NAME.", show_default=False)
]
Seed: TypeAlias = Annotated[int, typer.Option(min=0, help="Seed of the resamples.", rich_help_panel=STATISTICS)]


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """The queries and judgments of an evaluation."""

    queries: Annotated[Path | None, typer.Option(help="Queries: JSONL, TSV or TREC.", rich_help_panel=DATA)] = None
    qrels: Annotated[Path | None, typer.Option(help="Judgments: TREC, BEIR or JSON.", rich_help_panel=DATA)] = None
    beir: Annotated[Path | None, typer.Option(help="BEIR folder with both.", rich_help_panel=DATA)] = None
    split: Annotated[str, typer.Option(help="Split of the BEIR folder.", rich_help_panel=DATA)] = "test"
    dataset: Annotated[str, typer.Option(help="ir_datasets id, or BEIR folder.", rich_help_panel=DATA)] = ""

    def source(self) -> TaskSource:
        """Return the source of the task; wrong usage unless exactly one source is given."""
        from retrieval.metrics.tasks import TaskSource

        if sum((self.qrels is not None, self.beir is not None, bool(self.dataset))) != 1:
            raise typer.BadParameter("give one of --qrels (with --queries), --beir, --dataset", param_hint="--qrels")
        return TaskSource(self.queries, self.qrels, self.beir, self.split, self.dataset)


@dataclass(frozen=True, slots=True)
class ComparisonOptions:
    """The measures and tests of a comparison."""

    measures: Annotated[str, typer.Option(help="Measures of ir-measures; the first one decides.")] = (
        "nDCG@10 R@100 RR@10 AP"
    )
    every_pair: Annotated[bool, typer.Option(help="Compare every pair, not each system with the first.")] = False
    rounds: Annotated[int, typer.Option(min=99, help="Resamples of each test.", rich_help_panel=STATISTICS)] = 10_000
    seed: Seed = 0


def named_mode(name: str) -> Mode | None:
    """Return the mode of `--mode`; None if it is empty, wrong usage if it is unknown."""
    from retrieval.types import Mode

    return _named(name, Mode, "--mode") if name else None


def named_syntax(name: str) -> Syntax:
    """Return the syntax of `--syntax`; wrong usage if it is unknown."""
    from retrieval.types import Syntax

    return _named(name, Syntax, "--syntax")


def _named(name: str, kind: type[E], option: str) -> E:
    try:
        return kind(name)
    except ValueError:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(kind)}", param_hint=option) from None
