"""`attendex reembed`: switch a collection to another encoder, without downtime."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.commands.options import CollectionArgument, WaitOption
from retrieval.util.terminal import FAILURE, JsonOption, option_groups, print_json, reports_errors, stderr

if TYPE_CHECKING:
    from retrieval.metrics.comparison import PairedComparison
    from retrieval.metrics.tasks import EvaluationTask
    from retrieval.search.searcher import Searcher

MAX_LOSS = 0.01  # of the measure; a greater loss is refused even if it is not significant


@dataclass(frozen=True, slots=True)
class ReembedTaskOptions:
    """The judged queries that compare the encoders."""

    queries: Annotated[Path | None, typer.Option(help="Queries to compare with.", show_default=False)] = None
    qrels: Annotated[Path | None, typer.Option(help="Judgments to compare with.", show_default=False)] = None
    measure: Annotated[str, typer.Option(help="Measure that decides.")] = "nDCG@10"

    def read(self) -> EvaluationTask | None:
        """Return the task, or None without queries; wrong usage if one file is missing."""
        from retrieval.metrics.tasks import TaskSource, read_task

        if (self.queries is None) != (self.qrels is None):
            raise typer.BadParameter("give both --queries and --qrels, or neither", param_hint="--qrels")
        return read_task(TaskSource(queries=self.queries, qrels=self.qrels)) if self.qrels else None


@reports_errors
@option_groups
def reembed(
    collection: CollectionArgument,
    encoder: Annotated[str, typer.Option(help="Preset, folder, hub name, or openai:URL#model.", show_default=False)],
    judged: ReembedTaskOptions,
    runtime: Annotated[str, typer.Option(help="auto, torch or openvino.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, f32, bf16 or int8.")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Switch even if the new encoder is worse.")] = False,
    wait: WaitOption = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Encode all passages again with another encoder, and switch to the new vectors.

    Searches continue meanwhile with the old vectors; an interrupted run continues where it stopped.  With judgments,
    the command first evaluates both encoders and refuses a worse one (exit code 1).  To go back, run `attendex
    rollback`.

    Examples:

      attendex reembed papers --encoder models/finetuned

      attendex reembed papers --encoder english

      attendex reembed papers --encoder models/finetuned --queries queries.jsonl --qrels qrels.tsv
    """
    from indexer.maintenance.sharded_reembed import reembed_all
    from retrieval.encoder.loading import load_encoder
    from retrieval.index.collection.index_reader import IndexReader
    from retrieval.search.searcher import Searcher, open_searcher

    task = judged.read()
    new = load_encoder(encoder, runtime=runtime, precision=precision).bulk
    comparisons: list[PairedComparison] = []

    def accept(reader: IndexReader) -> bool:
        assert task is not None
        with open_searcher(collection) as old:
            comparisons.append(_compare(old, Searcher(reader, new), task, judged.measure))
        return force or not _is_worse(comparisons[0])

    report = reembed_all(collection, new, accept=accept if task else None, wait_s=wait)
    verdict = comparisons[0].verdict if comparisons else ""
    if as_json:
        print_json({**asdict(report), "verdict": verdict})
    else:
        kept = "not switched; --force switches to the finished vectors, `attendex merge` removes them"
        state = f"generation {report.generation} is current" if report.switched else kept
        parts = filter(None, (verdict, f"{report.encoded:,} passages encoded", state))
        stderr().print("; ".join(parts))
    if not report.switched:
        raise typer.Exit(FAILURE)


def _compare(old: Searcher, new: Searcher, task: EvaluationTask, measure: str) -> PairedComparison:
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


def _is_worse(comparison: PairedComparison) -> bool:
    """Check whether the new encoder is worse: significantly, or by more than MAX_LOSS."""
    deciding = comparison.deciding
    return deciding.difference < 0 and (deciding.significant or deciding.difference < -MAX_LOSS)
