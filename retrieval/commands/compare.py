"""`attendex compare`: is B better than A, or was it chance?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.commands.options import (
    Beir,
    Dataset,
    Judgments,
    Measures,
    Queries,
    Rounds,
    Seed,
    Split,
    Systems,
    task_source,
)
from retrieval.util.terminal import FAILURE, JsonOption, print_json, reports_errors, stdout

if TYPE_CHECKING:
    from retrieval.commands.contests import Held


@reports_errors
def compare(
    systems: Systems,
    qrels: Judgments = None,
    queries: Queries = None,
    beir: Beir = None,
    split: Split = "test",
    dataset: Dataset = "",
    measures: Measures = "nDCG@10 R@100 RR@10 AP",
    every_pair: Annotated[bool, typer.Option(help="Compare every pair, not each system with the first.")] = False,
    changes: Annotated[int, typer.Option(min=0, help="How many changed queries to show, each way.")] = 5,
    fail_if_worse: Annotated[
        bool, typer.Option(help="Exit 1 when a system is shown to be worse than the first.")
    ] = False,
    rounds: Rounds = 10_000,
    seed: Seed = 0,
    as_json: JsonOption = False,
) -> None:
    """Compare rankings over the same queries.

    Each system is compared with the first in every measure: paired bootstrap interval, randomisation test (Holm's
    correction when there are several), paired t test, effect size, and the smallest difference that this many queries
    could show.

    Examples:

      attendex compare papers:dense papers:hybrid --beir data/scifact

      attendex compare old.run new.run --qrels qrels.txt --fail-if-worse

      attendex compare papers:hybrid http://localhost:8080/papers --queries q.jsonl --qrels test.tsv
    """
    from retrieval.commands.contests import hold

    if len(systems) < 2:
        raise typer.BadParameter("name two or more; `attendex evaluate` measures one", param_hint="systems")
    source = task_source(queries, qrels, beir, split, dataset)
    held = hold(systems, source, measures, every_pair=every_pair, rounds=rounds, seed=seed)
    if as_json:
        _print(held, changes, rounds, seed)
    else:
        _show(held, changes)
    if fail_if_worse and _some_shown_worse(held):
        raise typer.Exit(FAILURE)


def _some_shown_worse(held: Held) -> bool:
    """Whether a system is significantly worse than the first in the deciding measure."""
    first = held.runs[0].name
    deciding = [pair.deciding for pair in held.contest.pairs if pair.a == first]
    return any(each.significant and each.difference < 0 for each in deciding)


def _print(held: Held, changes: int, rounds: int, seed: int) -> None:
    from retrieval.commands.figures import changes_json, contest_json

    answer = contest_json(held.contest, held.stamps)
    for record, pair in zip(answer["comparisons"], held.contest.pairs, strict=True):
        record["changed"] = changes_json(held.changes(pair, changes))
    print_json({"task": held.task.name, "rounds": rounds, "seed": seed, **answer})


def _show(held: Held, changes: int) -> None:
    from retrieval.commands.figures import coverage_lines, show_changes, show_comparison

    console = stdout()
    for pair in held.contest.pairs:
        show_comparison(console, pair)
        changed = held.changes(pair, changes)
        if changed:
            measure = pair.deciding.measure
            console.print(f"queries that changed most in {measure}, ranks {pair.a} → {pair.b}:", markup=False)
            show_changes(console, changed, held.texts)
    if len(held.contest.pairs) > 1:
        console.print(f"p is adjusted by Holm's method for {len(held.contest.pairs)} comparisons", highlight=False)
    for evaluation in held.contest.evaluations:
        console.print(
            f"{evaluation.run}: {'; '.join(coverage_lines(evaluation.coverage))}", markup=False, highlight=False
        )
