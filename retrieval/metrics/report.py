"""The sections of the HTML report of one or more systems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite

import numpy as np

from retrieval.metrics.charts import draw_curves, draw_differences, draw_intervals
from retrieval.metrics.comparison import PairedComparison, format_difference, format_p_value
from retrieval.metrics.evaluation import Evaluation, evaluate
from retrieval.metrics.html_report import TableCell, facts_table, figure, heading, html_page, paragraph, section, table
from retrieval.metrics.run_queries import RunProvenance
from retrieval.metrics.runs import RetrievalRun
from retrieval.metrics.tasks import EvaluationTask

CUTOFFS = (1, 3, 5, 10, 20, 50, 100)
RECALLS = tuple(step / 10 for step in range(11))
HARDEST = 10  # queries shown with their rankings
SHOWN = 10  # documents of a ranking


@dataclass(frozen=True, slots=True)
class ReportData:
    """The data of a report."""

    task: EvaluationTask
    runs: tuple[RetrievalRun, ...]
    provenances: tuple[RunProvenance | None, ...]
    evaluations: tuple[Evaluation, ...]
    pairs: tuple[PairedComparison, ...]  # empty for one system
    command: str
    titles: Mapping[str, str]  # may lack documents


def hardest_queries(report: ReportData, count: int = HARDEST) -> list[str]:
    """Return queries with relevant documents, the lowest mean measure first."""
    measure = next(iter(report.evaluations[0].values))
    values = np.mean([evaluation.values[measure].per_query for evaluation in report.evaluations], axis=0)
    queries = report.evaluations[0].queries
    order = [queries[row] for row in np.argsort(values, kind="stable")]
    return [query for query in order if report.task.qrels.relevant(query)][:count]


def shown_documents(report: ReportData) -> set[str]:
    """Return the ids of the documents that the report lists, which need titles."""
    queries = hardest_queries(report)
    rankings = [run.rankings[query] for query in queries for run in report.runs if query in run.rankings]
    return {document for ranking in rankings for document in ranking.ids[:SHOWN]}


def render_report(report: ReportData) -> str:
    names = " · ".join(run.name for run in report.runs)
    coverage = report.evaluations[0].coverage
    parts = [
        paragraph(f"{report.task.name}: averaged over {coverage.averaged:,} queries", "soft"),
        *(paragraph(pair.verdict, "verdict") for pair in report.pairs),
        section("Summary", _summary(report), *_comparisons(report)),
        section("Curves", *_curves(report)),
        section("Hardest queries", *_hardest(report)),
        section("How this was made", *_provenance(report)),
    ]
    return html_page(f"Retrieval quality: {names}", parts)


def _summary(report: ReportData) -> str:
    names = list(report.evaluations[0].values)
    rows = [[found.run, *(f"{value:.4f}" for value in found.aggregates.values())] for found in report.evaluations]
    return table(["system", *names], rows)


def _comparisons(report: ReportData) -> list[str]:
    if not report.pairs:
        return []
    head = ("measure", "A", "B", "B − A", "95 % interval", "p", "p (t)", "effect", "won / lost / tied", "detectable")
    parts: list[str] = []
    for pair in report.pairs:
        rows = [
            (
                name,
                f"{d.mean_a:.4f}",
                f"{d.mean_b:.4f}",
                format_difference(d.difference),
                f"{format_difference(d.low)} to {format_difference(d.high)}",
                format_p_value(d.p_adjusted),
                format_p_value(d.p_t),
                f"{d.effect:+.2f}",
                f"{d.wins} / {d.losses} / {d.ties}",
                f"{d.detectable:.3f}" if isfinite(d.detectable) else "none",
            )
            for name, d in pair.differences.items()
        ]
        parts += [heading(f"A = {pair.a}, B = {pair.b}"), table(head, rows)]
    parts.append(
        figure(draw_intervals(report.pairs), "Differences with their 95 % bootstrap intervals; 0 is no difference")
    )
    by_name = {evaluation.run: evaluation for evaluation in report.evaluations}
    for pair in report.pairs:
        d = pair.deciding
        values = by_name[pair.b].values[d.measure].per_query - by_name[pair.a].values[d.measure].per_query
        caption = f"{d.measure} of each query, {pair.b} minus {pair.a}: {d.wins} won, {d.losses} lost, {d.ties} tied"
        parts.append(figure(draw_differences(pair, values), caption))
    return parts


def _curves(report: ReportData) -> list[str]:
    deepest = max((len(ranking) for run in report.runs for ranking in run.rankings.values()), default=0)
    cutoffs = [cutoff for cutoff in CUTOFFS if cutoff <= max(deepest, 1)]
    gain, recall = ([f"{name}@{cutoff}" for cutoff in cutoffs] for name in ("nDCG", "R"))
    precision = [f"IPrec@{level:.1f}" for level in RECALLS]
    queries = set(report.evaluations[0].queries)
    measures = " ".join([*gain, *recall, *precision])
    found = {run.name: evaluate(run, report.task.qrels, measures, asked=queries).aggregates for run in report.runs}

    def curves(names: Sequence[str]) -> dict[str, list[float]]:
        return {run: [values[name] for name in names] for run, values in found.items()}

    return [
        figure(draw_curves(RECALLS, curves(precision), "recall", "precision"), "Interpolated precision at recall"),
        figure(draw_curves(cutoffs, curves(gain), "cut-off k", "nDCG@k", log=True), "nDCG by cut-off"),
        figure(draw_curves(cutoffs, curves(recall), "cut-off k", "R@k", log=True), "Recall by cut-off"),
    ]


def _hardest(report: ReportData) -> list[str]:
    texts = {topic.id: topic.text for topic in report.task.topics}
    measure = next(iter(report.evaluations[0].values))
    rows = {query: row for row, query in enumerate(report.evaluations[0].queries)}
    parts: list[str] = []
    for query in hardest_queries(report):
        values = [found.values[measure].per_query[rows[query]] for found in report.evaluations]
        text = ", ".join(f"{run.name} {value:.3f}" for run, value in zip(report.runs, values, strict=True))
        parts += [
            heading(f"{query}  {texts.get(query, '')}"),
            paragraph(f"{measure}: {text}", "soft"),
            _side_by_side(report, query),
        ]
    return parts


def _side_by_side(report: ReportData, query: str) -> str:
    judged = report.task.qrels.judged(query)
    columns = [run.rankings.get(query) for run in report.runs]
    rows: list[list[TableCell | str]] = []
    for rank in range(SHOWN):
        documents = [None if ranking is None or rank >= len(ranking) else ranking.ids[rank] for ranking in columns]
        if any(documents):
            rows.append([str(rank + 1), *(_document(document, judged, report.titles) for document in documents)])
    shown = {document for ranking in columns if ranking for document in ranking.ids[:SHOWN]}
    missing = [document for document, relevance in judged.items() if relevance > 0 and document not in shown]
    foot = paragraph(f"Relevant, but in no first {SHOWN}: {', '.join(missing[:8])}", "soft") if missing else ""
    return table(["rank", *(TableCell(run.name, prose=True) for run in report.runs)], rows) + foot


def _document(document: str | None, judged: Mapping[str, int], titles: Mapping[str, str]) -> TableCell:
    if document is None:
        return TableCell("")
    title = titles.get(document, "")
    relevance = judged.get(document)
    mark = "" if relevance is None else f" [{relevance}]"
    return TableCell(f"{document}{mark} {title}".rstrip(), prose=True, relevant=bool(relevance and relevance > 0))


def _provenance(report: ReportData) -> list[str]:
    parts = [facts_table({"command": report.command, "judgments": report.task.qrels.name})]
    for run, provenance, evaluation in zip(report.runs, report.provenances, report.evaluations, strict=True):
        coverage = {name.replace("_", " "): f"{value:g}" for name, value in asdict(evaluation.coverage).items()}
        known = {} if provenance is None else _provenance_facts(provenance)
        parts += [heading(run.name), facts_table(known | coverage)]
    return parts


def _provenance_facts(provenance: RunProvenance) -> dict[str, str]:
    about = {
        "collection": provenance.collection,
        "generation": str(provenance.generation),
        "documents": f"{provenance.documents:,}",
        "mode": provenance.mode,
        "query syntax": provenance.syntax,
        "settings": provenance.settings or "defaults",
    }
    return about | {f"encoder {name}": str(value) for name, value in asdict(provenance.encoder).items()}
