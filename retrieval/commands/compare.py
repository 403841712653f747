"""`attendex compare` and `report`: measure several systems with the same queries."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.commands.evaluation_output import progress_bar
from retrieval.commands.options import ComparisonOptions, Systems, TaskOptions
from retrieval.util.terminal import FAILURE, JsonOption, option_groups, print_json, reports_errors, stderr, stdout

if TYPE_CHECKING:
    from retrieval.metrics.comparison import PairedComparison, QueryChange, RunComparison
    from retrieval.metrics.run_queries import RunProvenance
    from retrieval.metrics.runs import RetrievalRun
    from retrieval.metrics.tasks import EvaluationTask, TaskSource


@dataclass(frozen=True, slots=True)
class ComparedSystems:
    """The task, the runs by their systems' short names, and the comparison."""

    task: EvaluationTask
    runs: tuple[RetrievalRun, ...]
    provenances: tuple[RunProvenance | None, ...]
    comparison: RunComparison

    def changes(self, pair: PairedComparison, count: int) -> tuple[QueryChange, ...]:
        from retrieval.metrics.comparison import most_changed_queries

        names = [run.name for run in self.runs]
        a, b = names.index(pair.a), names.index(pair.b)
        evaluations = self.comparison.evaluations
        runs = self.runs[a], self.runs[b]
        return most_changed_queries(evaluations[a], evaluations[b], runs, self.task.qrels, count)


@reports_errors
@option_groups
def compare(
    systems: Systems,
    task: TaskOptions,
    comparison: ComparisonOptions,
    changes: Annotated[int, typer.Option(min=0, help="How many changed queries to show, each way.")] = 5,
    fail_if_worse: Annotated[
        bool, typer.Option(help="Exit with 1 if a system is significantly worse than the first.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare systems over the same queries, with significance tests.

    Each system is compared with the first in every measure: paired bootstrap interval, randomisation test (with Holm's
    correction for several pairs), paired t test, effect size, and the smallest difference that this many queries
    detect.

    Examples:

      attendex compare papers:dense papers:hybrid --beir data/scifact

      attendex compare old.run new.run --qrels qrels.txt --fail-if-worse

      attendex compare papers:hybrid http://localhost:8080/papers --queries q.jsonl --qrels test.tsv
    """
    if len(systems) < 2:
        raise typer.BadParameter("name two or more; `attendex evaluate` measures one", param_hint="systems")
    compared = compare_systems(systems, task.source(), comparison)
    if as_json:
        _print(compared, changes, comparison)
    else:
        _show(compared, changes)
    against_first = [pair.deciding for pair in compared.comparison.pairs if pair.a == compared.runs[0].name]
    if fail_if_worse and any(found.significant and found.difference < 0 for found in against_first):
        raise typer.Exit(FAILURE)


@reports_errors
@option_groups
def report(
    systems: Systems,
    html: Annotated[Path, typer.Option(help="HTML page to write.", show_default=False)],
    task: TaskOptions,
    comparison: ComparisonOptions,
) -> None:
    """Write a report of one or more systems as one HTML page.

    The page has the measures, the tests, curves, the hardest queries, and the settings.

    Examples:

      attendex report papers --beir data/scifact --html report.html

      attendex report papers:dense papers:hybrid --queries q.jsonl --qrels test.tsv --html report.html
    """
    from retrieval.metrics.files import write_text
    from retrieval.metrics.report import ReportData, render_report, shown_documents

    compared = compare_systems(systems, task.source(), comparison)
    found = compared.comparison
    command = shlex.join(["attendex", *sys.argv[1:]])
    data = ReportData(compared.task, compared.runs, compared.provenances, found.evaluations, found.pairs, command, {})
    data = replace(data, titles=_titles(systems, shown_documents(data)))
    write_text(html, [render_report(data)])
    stderr().print(f"wrote {html}")


def compare_systems(systems: Sequence[str], source: TaskSource, options: ComparisonOptions) -> ComparedSystems:
    """Read or search and compare systems; evaluate a single system."""
    from retrieval.metrics.comparison import RunComparison, compare_runs
    from retrieval.metrics.evaluation import evaluate
    from retrieval.metrics.measures import depth_needed, parse_measures
    from retrieval.metrics.tasks import read_task
    from retrieval.search.evaluated.systems import measure_system, parse_system

    if len(set(systems)) < len(systems):
        raise typer.BadParameter("a system is named twice; name two different systems", param_hint="systems")
    task = read_task(source)
    depth = depth_needed(parse_measures(options.measures))
    runs, provenances = [], []
    names = short_names(systems)
    for spec in [parse_system(word) for word in systems]:
        with progress_bar(f"asking {spec.word}", len(task.topics)) as watch:
            measured = measure_system(spec, task.topics, depth, watch=watch)
        runs.append(replace(measured.run, name=names[spec.word]))
        provenances.append(measured.provenance)
    asked = {topic.id for topic in task.topics} if task.topics else None
    if len(runs) == 1:
        found = RunComparison((evaluate(runs[0], task.qrels, options.measures, asked=asked),), ())
    else:
        found = compare_runs(
            runs,
            task.qrels,
            options.measures,
            asked=asked,
            every_pair=options.every_pair,
            rounds=options.rounds,
            seed=options.seed,
        )
    return ComparedSystems(task, tuple(runs), tuple(provenances), found)


def short_names(words: Sequence[str]) -> dict[str, str]:
    """Return word → last path component, or whole words if two components are equal."""
    short = {word: word.rstrip("/").rsplit("/", 1)[-1] for word in words}
    return short if len(set(short.values())) == len(words) else {word: word for word in words}


def _print(compared: ComparedSystems, changes: int, options: ComparisonOptions) -> None:
    from retrieval.commands.evaluation_output import changes_json, comparison_json

    answer = comparison_json(compared.comparison, compared.provenances)
    for record, pair in zip(answer["comparisons"], compared.comparison.pairs, strict=True):
        record["changed"] = changes_json(compared.changes(pair, changes))
    print_json({"task": compared.task.name, "rounds": options.rounds, "seed": options.seed, **answer})


def _show(compared: ComparedSystems, changes: int) -> None:
    from retrieval.commands.evaluation_output import coverage_lines, show_changes, show_comparison, show_matrix

    console = stdout()
    pairs = compared.comparison.pairs
    texts = {topic.id: topic.text for topic in compared.task.topics}
    if len(pairs) > len(compared.runs) - 1:
        show_matrix(console, compared.comparison)
    for pair in pairs:
        show_comparison(console, pair)
        changed = compared.changes(pair, changes)
        if changed:
            measure = pair.deciding.measure
            console.print(f"queries that changed most in {measure}, ranks {pair.a} → {pair.b}:")
            show_changes(console, changed, texts)
    if len(pairs) > 1:
        console.print(f"p is adjusted by Holm's method for {len(pairs)} comparisons")
    for evaluation in compared.comparison.evaluations:
        line = f"{evaluation.run}: {'; '.join(coverage_lines(evaluation.coverage))}"
        console.print(line)


def _titles(systems: list[str], ids: set[str]) -> dict[str, str]:
    """Return the titles in the first system that is a collection on this machine."""
    from retrieval.search.evaluated.systems import open_texts, parse_system, texts_of

    for spec in map(parse_system, systems):
        if not spec.is_run and not spec.is_url:
            with open_texts(spec) as reader:
                return {document: found.title for document, found in texts_of(reader, ids).items()}
    return {}
