"""`attendex tune`: learn search settings from judged queries."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retrieval.boosts import parse_each_boost
from retrieval.commands.evaluation_output import progress_bar
from retrieval.commands.options import DATA, CollectionArgument, Seed, TaskOptions
from retrieval.util.terminal import JsonOption, option_groups, print_json, reports_errors, stdout

if TYPE_CHECKING:
    from retrieval.boosts import Boost
    from retrieval.metrics.tuning import TuningResult


@dataclass(frozen=True, slots=True)
class TrainingTaskOptions(TaskOptions):
    """The queries and judgments to learn from."""

    qrels: Annotated[Path | None, typer.Option(help="Judgments to learn from.", rich_help_panel=DATA)] = None
    split: Annotated[str, typer.Option(help="Split of the BEIR folder.", rich_help_panel=DATA)] = "train"


@dataclass(frozen=True, slots=True)
class AdvisedOptions:
    """Options of a search, which the command recommends or not."""

    rerank: Annotated[
        str,
        typer.Option(help="Preset or folder of a reranker: decide whether it helps.", show_default=False),
    ] = ""
    boost: Annotated[
        list[str] | None,
        typer.Option(help='Boost whose weight to learn, as JSON: \'{"filter": "in_stock"}\'; repeatable.'),
    ] = None


@reports_errors
@option_groups
def tune(
    collection: CollectionArgument,
    task: TrainingTaskOptions,
    advised: AdvisedOptions,
    measure: Annotated[str, typer.Option(help="Measure to improve.")] = "nDCG@10",
    budget: Annotated[
        float,
        typer.Option(help="Minutes after which no further settings are measured; 0 for no limit.", min=0),
    ] = 0,
    dry_run: Annotated[bool, typer.Option(help="Report only; change nothing.")] = False,
    seed: Seed = 0,
    as_json: JsonOption = False,
) -> None:
    """Learn the settings of hybrid search from judged queries.

    The settings are fusion weight, feedback, stop words, title weight, k1 and b.  Cross-validation measures the gain on
    queries that did not choose the settings.  A significant gain writes the settings into the collection, as a new
    generation; otherwise the defaults are kept.  Then the options of a search are judged in the same way, and
    recommended or not: operators, if a query has any, the reranker of --rerank, and the weights of --boost.

    Examples:

      attendex tune papers --queries queries.jsonl --qrels train.tsv

      attendex tune scifact --beir data/scifact --split train --budget 10

      attendex tune scifact --beir data/scifact --split train --rerank reranker-english

      attendex tune shop --queries queries.jsonl --qrels train.tsv --boost '{"field": "sales", "curve": "log1p"}'
    """
    from indexer.evaluation.option_tuning import tune_options
    from indexer.evaluation.tuning import tune_collection, write_tuned
    from retrieval.metrics.tasks import read_task
    from retrieval.metrics.tuning import TimeBudget

    judged = read_task(task.source())
    rerank, boosts = advised.rerank, parse_each_boost(advised.boost or (), weight=1.0)
    time_budget = TimeBudget(budget * 60 or math.inf)
    with progress_bar("settings measured", 0) as watch:
        tuned = tune_collection(collection, judged, measure, seed=seed, watch=watch, budget=time_budget)
    generation = write_tuned(collection, tuned) if tuned.accepted and not dry_run else None
    with progress_bar("options of a search measured", 0) as watch:
        options = tune_options(collection, judged, measure, rerank, boosts, seed=seed, watch=watch, budget=time_budget)
    if as_json:
        answer = _json(tuned, measure) | {"generation": generation}
        print_json(answer | ({"options": _json(options, measure)} if options else {}))
        return
    _show(tuned, measure, generation, dry_run)
    if options:
        _show_options(options, rerank, boosts)


def _show_options(tuned: TuningResult, reranker: str, boosts: Sequence[Boost]) -> None:
    from retrieval.metrics.comparison import format_difference, format_interval, format_p

    console = stdout()
    interval = f"{format_interval(tuned.low, tuned.high)}, {format_p(tuned.p)}"
    console.print(f"options of a search: held-out gain {format_difference(tuned.gain)} {interval}")
    if tuned.accepted:
        _show_effects(tuned)
        console.print(f"they help: search with {_search_options(tuned, reranker, boosts)}", style="bold")
    else:
        console.print(f"leave them out ({', '.join(tuned.defaults)}): no gain is shown", style="bold")
    _warn_of_budget(tuned)


def _search_options(tuned: TuningResult, reranker: str, boosts: Sequence[Boost]) -> str:
    """Return the chosen options as those of `attendex search`."""
    from indexer.evaluation.option_tuning import chosen_boosts

    words = [f"--boost '{json.dumps(boost.options)}'" for boost in chosen_boosts(boosts, tuned.chosen)]
    if tuned.chosen.get("rerank"):
        depth, weight = tuned.chosen["rerank"]
        words.append(f"--rerank {reranker} --rerank-depth {depth} --rerank-weight {weight}")
    if tuned.chosen.get("syntax", "plain") != "plain":
        words.append(f"--syntax {tuned.chosen['syntax']}")
    return " ".join(words)


def _show_effects(tuned: TuningResult) -> None:
    """Print the part of each changed setting in the gain."""
    from retrieval.metrics.comparison import format_difference, format_p

    for effect in tuned.effects:
        stdout().print(
            f"  {effect.name}: {effect.default} → {effect.chosen}, alone worth {format_difference(effect.gain)}, "
            f"{format_p(effect.p)}",
            style="dim",
        )


def _warn_of_budget(tuned: TuningResult) -> None:
    if not tuned.complete:
        stdout().print("the budget was spent before all settings were measured; a larger --budget may find more")


def _json(tuned: TuningResult, measure: str) -> dict[str, Any]:
    answer = asdict(tuned) | {"measure": measure, "gain": tuned.gain, "accepted": tuned.accepted}
    answer["detectable"] = tuned.detectable if math.isfinite(tuned.detectable) else None
    return answer


def _show(tuned: TuningResult, measure: str, generation: int | None, dry_run: bool) -> None:
    from retrieval.metrics.comparison import format_difference, format_interval, format_p

    console = stdout()
    interval = f"{format_interval(tuned.low, tuned.high)}, {format_p(tuned.p)}"
    console.print(f"{measure} {tuned.default_mean:.4f} with the defaults, {tuned.held_out_mean:.4f} held out")
    console.print(
        f"held-out gain {format_difference(tuned.gain)} {interval}, over {tuned.queries:,} queries",
    )
    _show_effects(tuned)
    chosen = ", ".join(f"{name} {value}" for name, value in tuned.chosen.items())
    if not tuned.accepted:
        detects = (
            "" if math.isinf(tuned.detectable) else f"; these queries show a gain of {tuned.detectable:.3f} or more"
        )
        console.print(f"kept the defaults: no gain is shown{detects}", style="bold")
    elif dry_run:
        console.print(f"would write: {chosen}", style="bold")
    else:
        console.print(f"wrote generation {generation}: {chosen}", style="bold")
    console.print(f"{tuned.tried} settings measured; best over all queries: {chosen}", style="dim")
    for name, values in tuned.grid.items():
        console.print(f"  tried {name} {', '.join(map(str, values))}", style="dim")
    _warn_of_budget(tuned)
