"""`attendex compare`: is B better than A, or was it chance?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.commands.evaluation_output import progress_bar
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
    from retrieval.metrics.comparison import PairedComparison, QueryChange, RunComparison
    from retrieval.metrics.run_queries import RunProvenance
    from retrieval.metrics.runs import RetrievalRun
    from retrieval.metrics.tasks import EvaluationTask, TaskSource


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

    if len(systems) < 2:
        raise typer.BadParameter("name two or more; `attendex evaluate` measures one", param_hint="systems")
    source = task_source(queries, qrels, beir, split, dataset)
    held = compare_systems(systems, source, measures, every_pair=every_pair, rounds=rounds, seed=seed)
    if as_json:
        _print(held, changes, rounds, seed)
    else:
        _show(held, changes)
    if fail_if_worse and _some_shown_worse(held):
        raise typer.Exit(FAILURE)


def _some_shown_worse(held: ComparedSystems) -> bool:
    """Whether a system is significantly worse than the first in the deciding measure."""
    first = held.runs[0].name
    deciding = [pair.deciding for pair in held.contest.pairs if pair.a == first]
    return any(each.significant and each.difference < 0 for each in deciding)


def _print(held: ComparedSystems, changes: int, rounds: int, seed: int) -> None:
    from retrieval.commands.evaluation_output import changes_json, comparison_json

    answer = comparison_json(held.contest, held.provenances)
    for record, pair in zip(answer["comparisons"], held.contest.pairs, strict=True):
        record["changed"] = changes_json(held.changes(pair, changes))
    print_json({"task": held.task.name, "rounds": rounds, "seed": seed, **answer})


def _show(held: ComparedSystems, changes: int) -> None:
    from retrieval.commands.evaluation_output import coverage_lines, show_changes, show_comparison

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


@dataclass(frozen=True, slots=True)
class ComparedSystems:
    """A contest with what it was held on: runs are named as the user named their systems, shortly."""

    task: EvaluationTask
    runs: tuple[RetrievalRun, ...]
    provenances: tuple[RunProvenance | None, ...]
    contest: RunComparison

    @property
    def texts(self) -> dict[str, str]:
        """Query id → text, where queries were given."""
        return {topic.id: topic.text for topic in self.task.topics}

    def changes(self, pair: PairedComparison, count: int) -> tuple[QueryChange, ...]:
        """The queries of a pair that changed most."""
        from retrieval.metrics.comparison import most_changed_queries

        at = {run.name: place for place, run in enumerate(self.runs)}
        a, b = at[pair.a], at[pair.b]
        evaluations = self.contest.evaluations
        return most_changed_queries(
            evaluations[a], evaluations[b], (self.runs[a], self.runs[b]), self.task.qrels, count
        )


def compare_systems(
    systems: Sequence[str], source: TaskSource, measures: str, *, every_pair: bool, rounds: int, seed: int
) -> ComparedSystems:
    """Read or ask every system and compare them; a single one is only evaluated.

    A system that is named twice is wrong usage.
    """
    from retrieval.metrics.comparison import RunComparison, compare_runs
    from retrieval.metrics.evaluation import evaluate
    from retrieval.metrics.measures import depth_needed, parse_measures
    from retrieval.metrics.tasks import read_task
    from retrieval.search.evaluated.systems import measure_system, parse_system

    if len(set(systems)) < len(systems):
        raise typer.BadParameter("one is named twice; what should it be compared with?", param_hint="systems")
    task = read_task(source)
    depth = depth_needed(parse_measures(measures))
    runs, provenances = [], []
    names = short_names(systems)
    for spec in [parse_system(word) for word in systems]:
        with progress_bar(f"asking {spec.word}", len(task.topics)) as watch:
            measured = measure_system(spec, task.topics, depth, watch=watch)
        runs.append(replace(measured.run, name=names[spec.word]))
        provenances.append(measured.provenance)
    asked = {topic.id for topic in task.topics} if task.topics else None
    if len(runs) == 1:
        return ComparedSystems(
            task,
            tuple(runs),
            tuple(provenances),
            RunComparison((evaluate(runs[0], task.qrels, measures, asked=asked),), ()),
        )
    contest = compare_runs(runs, task.qrels, measures, asked=asked, every_pair=every_pair, rounds=rounds, seed=seed)
    return ComparedSystems(task, tuple(runs), tuple(provenances), contest)


def short_names(words: Sequence[str]) -> dict[str, str]:
    """Word → the word without the folders before it, unless two would be named alike."""
    short = {word: word.rstrip("/").rsplit("/", 1)[-1] for word in words}
    return short if len(set(short.values())) == len(words) else {word: word for word in words}
