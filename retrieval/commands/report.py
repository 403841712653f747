"""`attendex report`: the whole story of one or more systems, as a page to send to somebody."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

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
from retrieval.util.terminal import reports_errors, stderr


@reports_errors
def report(
    systems: Systems,
    html: Annotated[Path, typer.Option(help="The page to write.", show_default=False)],
    qrels: Judgments = None,
    queries: Queries = None,
    beir: Beir = None,
    split: Split = "test",
    dataset: Dataset = "",
    measures: Measures = "nDCG@10 R@100 RR@10 AP",
    every_pair: Annotated[bool, typer.Option(help="Compare every pair, not each system with the first.")] = False,
    rounds: Rounds = 10_000,
    seed: Seed = 0,
) -> None:
    """Write one self-contained HTML page: figures, tests, curves, the hardest queries, and how it was made.

    Examples:

      attendex report papers --beir data/scifact --html report.html

      attendex report papers:dense papers:hybrid --queries q.jsonl --qrels test.tsv --html report.html
    """
    from retrieval.commands.compare import compare_systems
    from retrieval.metrics.line_files import write_text
    from retrieval.metrics.report import ReportData, render_report, shown_documents, with_titles

    source = task_source(queries, qrels, beir, split, dataset)
    held = compare_systems(systems, source, measures, every_pair=every_pair, rounds=rounds, seed=seed)
    command = shlex.join(["attendex", *sys.argv[1:]])
    whole = ReportData(
        held.task, held.runs, held.provenances, held.contest.evaluations, held.contest.pairs, command, {}
    )
    whole = with_titles(whole, _titles(systems, shown_documents(whole)))
    write_text(html, [render_report(whole)])
    stderr().print(f"wrote {html}", markup=False, highlight=False)


def _titles(systems: list[str], ids: set[str]) -> dict[str, str]:
    """Titles from the first collection on this machine that is among the systems."""
    from retrieval.search.evaluated.systems import open_texts, parse_system, texts_of

    for spec in map(parse_system, systems):
        if not spec.is_run and not spec.is_url:
            with open_texts(spec) as reader:
                return {document: shown.title for document, shown in texts_of(reader, ids).items()}
    return {}
