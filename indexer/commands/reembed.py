"""`attendex reembed`: another encoder for a collection, without downtime."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from indexer.commands.options import CollectionArgument, WaitOption
from retrieval.util.terminal import FAILURE, JsonOption, print_json, reports_errors, stderr

if TYPE_CHECKING:
    from retrieval.metrics.comparison import PairedComparison
    from retrieval.metrics.tasks import EvaluationTask
    from retrieval.search.searcher import Searcher

WORST_LOSS = 0.01  # of the measure; a greater loss is not accepted even if it is not shown


@reports_errors
def reembed(
    collection: CollectionArgument,
    encoder: Annotated[str, typer.Option(help="sentence-transformers folder or hub name.", show_default=False)],
    runtime: Annotated[str, typer.Option(help="auto, torch or openvino.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, f32, bf16 or int8.")] = "auto",
    queries: Annotated[Path | None, typer.Option(help="Queries to compare with.", show_default=False)] = None,
    qrels: Annotated[Path | None, typer.Option(help="Judgments to compare with.", show_default=False)] = None,
    measure: Annotated[str, typer.Option(help="What decides.")] = "nDCG@10",
    force: Annotated[bool, typer.Option("--force", help="Switch even if the new encoder is worse.")] = False,
    wait: WaitOption = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Make all vectors again with another encoder, and switch when they are ready.

    Searches go on meanwhile with the old ones; an interrupted run goes on where it was.  With judgments, both are
    evaluated first, and a worse encoder is refused (exit code 1).  `attendex rollback` brings the old one back.

    Examples:

      attendex reembed papers --encoder models/finetuned

      attendex reembed papers --encoder models/finetuned --queries queries.jsonl --qrels qrels.tsv
    """
    from indexer.maintenance.reembed import reembed as build
    from retrieval.encoder.loading import load_encoder
    from retrieval.index.collection.index_reader import IndexReader
    from retrieval.metrics.tasks import TaskSource, read_task
    from retrieval.search.searcher import Searcher, open_searcher

    if (queries is None) != (qrels is None):
        raise typer.BadParameter("give both --queries and --qrels, or neither", param_hint="--qrels")
    task = read_task(TaskSource(queries=queries, qrels=qrels)) if qrels else None
    new = load_encoder(encoder, runtime=runtime, precision=precision)
    found: list[PairedComparison] = []

    def accept(reader: IndexReader) -> bool:
        assert task is not None
        with open_searcher(collection) as old:
            found.append(_compared(old, Searcher(reader, new), task, measure))
        return force or not _is_worse(found[0])

    report = build(collection, new, accept=accept if task else None, wait_s=wait)
    verdict = found[0].verdict if found else ""
    if as_json:
        print_json({**asdict(report), "verdict": verdict})
    else:
        kept = "not switched; --force does, with the vectors that are there now; `attendex merge` gives them up"
        done = f"generation {report.generation} is current" if report.switched else kept
        stderr().print(
            "; ".join(filter(None, (verdict, f"{report.encoded:,} passages encoded", done))),
            markup=False,
            highlight=False,
        )
    if not report.switched:
        raise typer.Exit(FAILURE)


def _compared(old: Searcher, new: Searcher, task: EvaluationTask, measure: str) -> PairedComparison:
    """The paired test of both encoders, over the judged queries."""
    from retrieval.metrics.comparison import compare_evaluations
    from retrieval.metrics.evaluation import evaluate
    from retrieval.metrics.measures import depth_needed, parse_measures
    from retrieval.metrics.run_queries import run_queries
    from retrieval.metrics.runs import RetrievalRun
    from retrieval.types import SearchRequest

    depth = depth_needed(parse_measures(measure))
    evaluations = []
    for searcher in (old, new):
        request = SearchRequest("", k=depth, passages_per_document=1)
        run = RetrievalRun(
            searcher.encoder.fingerprint.name, run_queries(searcher.search_many, task.topics, request).run.rankings
        )
        evaluations.append(evaluate(run, task.qrels, measure))
    return compare_evaluations(*evaluations)


def _is_worse(found: PairedComparison) -> bool:
    """Whether the new encoder is shown to be worse, or seems to be by more than is worth trying."""
    deciding = found.deciding
    return deciding.difference < 0 and (deciding.significant or deciding.difference < -WORST_LOSS)
