"""Output of the evaluation commands: JSON, tables and progress."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from retrieval.util.terminal import stderr
from retrieval.util.visible_text import visible

if TYPE_CHECKING:
    from retrieval.metrics.comparison import Difference, PairedComparison, QueryChange, RunComparison
    from retrieval.metrics.evaluation import Coverage, Evaluation
    from retrieval.metrics.run_queries import ProgressCallback, RunProvenance

COMPARISON_COLUMNS = 118  # minimum width of the table of a comparison


@contextmanager
def progress_bar(label: str, total: int) -> Iterator[ProgressCallback]:
    """Show a progress bar on stderr, only on a terminal; a total of 0 means unknown."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = stderr()
    columns = (TextColumn(visible(label), markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        bar = bars.add_task("", total=total or None)
        yield lambda done: bars.update(bar, completed=done)


def evaluation_json(evaluation: Evaluation, provenance: RunProvenance | None, seconds: float) -> dict[str, Any]:
    """Return an evaluation as JSON; a run file has null for the collection's fields."""
    from retrieval.metrics.evaluation import confidence_intervals

    return {
        "measures": evaluation.aggregates,
        "queries": evaluation.coverage.averaged,
        **provenance_json(provenance),
        "seconds": round(seconds, 3),
        "intervals": confidence_intervals(evaluation),
        "coverage": asdict(evaluation.coverage),
        "run": evaluation.run,
    }


def provenance_json(provenance: RunProvenance | None) -> dict[str, Any]:
    """Return the provenance of a run as JSON; every field is null for a run file."""
    if provenance is None:
        names = ("documents", "collection", "generation", "encoder", "fingerprint", "mode", "syntax", "settings")
        return dict.fromkeys(names)
    return {
        "documents": provenance.documents,
        "collection": provenance.collection,
        "generation": provenance.generation,
        "encoder": provenance.encoder.name,
        "fingerprint": asdict(provenance.encoder),
        "mode": provenance.mode,
        "syntax": provenance.syntax,
        "settings": provenance.settings,
    }


def show_evaluation(console: Console, evaluation: Evaluation, provenance: RunProvenance | None) -> None:
    """Print the table of one evaluation and its coverage."""
    from retrieval.metrics.evaluation import confidence_intervals

    intervals = confidence_intervals(evaluation)
    table = Table("measure", title=_title(evaluation, provenance), title_justify="left", title_style="bold")
    table.add_column("value", justify="right")
    table.add_column("95 % interval", justify="right")
    for name, value in evaluation.aggregates.items():
        low, high = intervals.get(name, (None, None))
        table.add_row(name, _number(value), "" if low is None else f"{low:.4f} – {high:.4f}")
    console.print(table)
    for line in coverage_lines(evaluation.coverage):
        console.print(line)


def coverage_lines(coverage: Coverage) -> list[str]:
    """Return lines on the denominator and on queries that count as 0 or do not count."""
    lines = [
        f"averaged over {coverage.averaged:,} queries; {coverage.judged_at_10:.0%} of the first ten hits are judged"
    ]
    counts = (
        (coverage.without_results, "of them have no results (count as 0)"),
        (coverage.without_relevant, "of them have no relevant document (count as 0)"),
        (coverage.unjudged, "queries without judgments are not averaged"),
        (coverage.not_asked, "judged queries were not asked"),
    )
    return lines + [f"{count:,} {text}" for count, text in counts if count]


def show_slices(console: Console, by: str, slices: Mapping[str, Evaluation]) -> None:
    """Print a table with one line per group of queries."""
    table = Table(by, title=f"by {by}", title_justify="left")
    table.add_column("queries", justify="right")
    names = list(next(iter(slices.values())).values)
    for name in names:
        table.add_column(name, justify="right")
    for label, evaluation in slices.items():
        values = [_number(evaluation.aggregates[name]) for name in names]
        table.add_row(label, str(evaluation.coverage.averaged), *values)
    console.print(table)


def comparison_json(comparison: RunComparison, provenances: Sequence[RunProvenance | None]) -> dict[str, Any]:
    return {
        "queries": len(comparison.evaluations[0].queries),
        "systems": [
            {
                "name": evaluation.run,
                "measures": evaluation.aggregates,
                "coverage": asdict(evaluation.coverage),
                **provenance_json(provenance),
            }
            for evaluation, provenance in zip(comparison.evaluations, provenances, strict=True)
        ],
        "comparisons": [pair_json(pair) for pair in comparison.pairs],
    }


def pair_json(pair: PairedComparison) -> dict[str, Any]:
    """Return one pair as JSON; an infinite detectable difference is null."""
    differences = {}
    for name, difference in pair.differences.items():
        record = {key: value for key, value in asdict(difference).items() if key != "measure"}
        record["detectable"] = difference.detectable if math.isfinite(difference.detectable) else None
        differences[name] = {**record, "significant": difference.significant}
    return {"a": pair.a, "b": pair.b, "verdict": pair.verdict, "measures": differences}


def changes_json(changes: Sequence[QueryChange]) -> list[dict[str, Any]]:
    return [{**asdict(change), "difference": change.difference} for change in changes]


def show_comparison(console: Console, pair: PairedComparison) -> None:
    """Print the verdict and the table of one pair."""
    from retrieval.metrics.comparison import format_difference, format_p_value

    console.print(pair.verdict, style="bold")
    table = Table(box=SIMPLE_HEAD)
    table.add_column("measure", no_wrap=True)
    for column in ("A", "B", "B − A", "95 % interval", "p", "p (t)", "effect", "won / lost / tied", "detectable"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, d in pair.differences.items():
        table.add_row(
            name,
            _number(d.mean_a),
            _number(d.mean_b),
            format_difference(d.difference),
            f"{format_difference(d.low)} – {format_difference(d.high)}",
            format_p_value(d.p_adjusted),
            format_p_value(d.p_t),
            f"{d.effect:+.2f}",
            f"{d.wins} / {d.losses} / {d.ties}",
            f"{d.detectable:.3f}",
        )
    console.print(f"A = {pair.a}   B = {pair.b}   {len(pair.queries):,} queries")
    console.width = max(console.width, COMPARISON_COLUMNS)
    console.print(table)


def show_matrix(console: Console, comparison: RunComparison) -> None:
    """Print the differences of all pairs of systems in the deciding measure."""
    from retrieval.metrics.significance import ALPHA

    names = [evaluation.run for evaluation in comparison.evaluations]
    measure = comparison.pairs[0].deciding.measure
    cells = {(name, name): "" for name in names}
    for pair in comparison.pairs:
        cells[pair.b, pair.a] = _difference_cell(pair.deciding, 1)
        cells[pair.a, pair.b] = _difference_cell(pair.deciding, -1)
    table = Table(f"{measure}, row minus column", box=SIMPLE_HEAD)
    for column in ("mean", *names):
        table.add_column(column, justify="right")
    for row, evaluation in zip(names, comparison.evaluations, strict=True):
        table.add_row(row, _number(evaluation.aggregates[measure]), *(cells[row, column] for column in names))
    console.print(table)
    console.print(f"* p < {ALPHA:g}, adjusted by Holm's method for {len(comparison.pairs)} pairs")


def _difference_cell(found: Difference, sign: int) -> str:
    from retrieval.metrics.comparison import format_difference

    return format_difference(sign * found.difference) + ("*" if found.significant else " ")


def show_changes(console: Console, changes: Sequence[QueryChange], texts: Mapping[str, str]) -> None:
    """Print the queries that changed most, with the rank changes of judged documents."""
    for change in changes:
        head = f"{change.difference:+.3f}  {change.query}  {texts.get(change.query, '')}"
        console.print(head)
        for moved in change.moved:
            ranks = f"{moved.rank_a or '–'} → {moved.rank_b or '–'}"
            line = f"        {ranks:>12}  {moved.document}  (relevance {moved.relevance})"
            console.print(line, style="dim")


def _title(evaluation: Evaluation, provenance: RunProvenance | None) -> str:
    if provenance is None:
        return f"run {evaluation.run}"
    settings = f" · {provenance.settings}" if provenance.settings else ""
    parts = (
        provenance.collection,
        f"generation {provenance.generation}",
        f"{provenance.documents:,} documents",
        provenance.mode + settings,
        f"query syntax {provenance.syntax}",
        provenance.encoder.name,
    )
    return " · ".join(parts)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4f}"
