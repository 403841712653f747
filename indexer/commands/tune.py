"""`attendex tune`: learn search settings from judged queries."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retrieval.commands.evaluation_output import progress_bar
from retrieval.commands.options import DATA, CollectionArgument, Seed, TaskOptions
from retrieval.util.terminal import JsonOption, option_groups, print_json, reports_errors, stdout

if TYPE_CHECKING:
    from retrieval.metrics.tasks import EvaluationTask
    from retrieval.metrics.tuning import TuningResult


@dataclass(frozen=True, slots=True)
class TrainingTaskOptions(TaskOptions):
    """The queries and judgments to learn from."""

    qrels: Annotated[Path | None, typer.Option(help="Judgments to learn from.", rich_help_panel=DATA)] = None
    split: Annotated[str, typer.Option(help="Split of the BEIR folder.", rich_help_panel=DATA)] = "train"


@reports_errors
@option_groups
def tune(
    collection: CollectionArgument,
    task: TrainingTaskOptions,
    measure: Annotated[str, typer.Option(help="Measure to improve.")] = "nDCG@10",
    rerank: Annotated[
        str,
        typer.Option(help="Preset or folder of a cross-encoder: decide whether it helps.", show_default=False),
    ] = "",
    dry_run: Annotated[bool, typer.Option(help="Report only; change nothing.")] = False,
    seed: Seed = 0,
    as_json: JsonOption = False,
) -> None:
    """Learn the settings of hybrid search from judged queries.

    The settings are fusion weight, stop words, title weight, k1 and b.  Cross-validation measures the gain on queries
    that did not choose the settings.  A significant gain writes the settings into the collection, as a new generation;
    otherwise the defaults are kept.

    Examples:

      attendex tune papers --queries queries.jsonl --qrels train.tsv

      attendex tune scifact --beir data/scifact --split train

      attendex tune scifact --beir data/scifact --split train --rerank reranker-english
    """
    from indexer.evaluation.tuning import tune_collection, write_tuned
    from retrieval.metrics.tasks import read_task

    judged = read_task(task.source())
    with progress_bar("settings measured", 0) as watch:
        tuned = tune_collection(collection, judged, measure, seed=seed, watch=watch)
    generation = write_tuned(collection, tuned) if tuned.accepted and not dry_run else None
    reranked = _tuned_reranker(collection, judged, measure, rerank, seed) if rerank else None
    if as_json:
        print_json(_json(tuned, measure, generation) | ({"rerank": _json(reranked, measure, None)} if reranked else {}))
        return
    _show(tuned, measure, generation, dry_run)
    if reranked:
        _show_reranker(reranked, rerank)


def _tuned_reranker(collection: Path, judged: EvaluationTask, measure: str, rerank: str, seed: int) -> TuningResult:
    from indexer.evaluation.rerank_tuning import tune_reranker

    with progress_bar("settings of the reranker measured", 0) as watch:
        return tune_reranker(collection, judged, measure, rerank, seed=seed, watch=watch)


def _show_reranker(tuned: TuningResult, rerank: str) -> None:
    from retrieval.metrics.comparison import format_difference, format_interval, format_p

    console = stdout()
    interval = f"{format_interval(tuned.low, tuned.high)}, {format_p(tuned.p)}"
    console.print(f"reranker: held-out gain {format_difference(tuned.gain)} {interval}")
    if tuned.accepted:
        options = f"--rerank-depth {tuned.chosen['depth']} --rerank-weight {tuned.chosen['rerank_weight']}"
        console.print(f"the reranker helps: search with --rerank {rerank} {options}", style="bold")
    else:
        console.print("leave the reranker out: no gain is shown", style="bold")


def _json(tuned: TuningResult, measure: str, generation: int | None) -> dict[str, Any]:
    answer = asdict(tuned) | {"measure": measure, "gain": tuned.gain, "accepted": tuned.accepted}
    answer["detectable"] = tuned.detectable if math.isfinite(tuned.detectable) else None
    return answer | {"generation": generation}


def _show(tuned: TuningResult, measure: str, generation: int | None, dry_run: bool) -> None:
    from retrieval.metrics.comparison import format_difference, format_interval, format_p

    console = stdout()
    interval = f"{format_interval(tuned.low, tuned.high)}, {format_p(tuned.p)}"
    console.print(f"{measure} {tuned.default_mean:.4f} with the defaults, {tuned.held_out_mean:.4f} held out")
    console.print(
        f"held-out gain {format_difference(tuned.gain)} {interval}, over {tuned.queries:,} queries",
    )
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
