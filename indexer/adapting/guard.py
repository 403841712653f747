"""The guard: a trained encoder must be better than its base on held-out queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from indexer.adapting.held_out import MEASURE
from indexer.maintenance.reembed import reembed
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.index.storage.manifest import read_manifest
from retrieval.metrics.comparison import Difference, PairedComparison, adjusted, compare_evaluations
from retrieval.metrics.evaluation import LENGTH, Evaluation, evaluate, restrict_evaluation, slice_topics
from retrieval.metrics.measures import depth_needed, parse_measures
from retrieval.metrics.run_queries import run_queries
from retrieval.metrics.runs import RetrievalRun
from retrieval.metrics.tasks import EvaluationTask
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.types import Mode, SearchRequest

MAX_LOSS = 0.01  # of the measure in the default mode; a greater loss is refused even if it is not significant


@dataclass(frozen=True, slots=True)
class Verdict:
    """The comparison of base (a) and trained encoder (b), by mode.

    The p values of the two modes are adjusted for two tests (Holm).
    """

    dense: PairedComparison
    default: PairedComparison  # in the collection's default mode
    slices: Mapping[str, PairedComparison]  # dense mode, by length of the query

    @property
    def better(self) -> bool:
        """Whether one mode is significantly better, and none is worse."""
        gains = any(each.difference > 0 and each.significant for each in self._differences)
        return gains and not self.worse

    @property
    def worse(self) -> bool:
        """Whether a mode loses significantly, or more than MAX_LOSS."""
        return any(
            each.difference < 0 and (each.significant or each.difference < -MAX_LOSS) for each in self._differences
        )

    @property
    def _differences(self) -> tuple[Difference, Difference]:
        return self.dense.deciding, self.default.deciding

    @property
    def reason(self) -> str:
        """Both verdicts, and the kinds of queries that lost."""
        lost = [f"{label} ({each.deciding.difference:+.3f})" for label, each in self.slices.items() if _lost(each)]
        parts = [f"dense: {self.dense.verdict}", f"default mode: {self.default.verdict}"]
        return "; ".join([*parts, f"worse for queries of {', '.join(lost)}"] if lost else parts)


def judge(copy: Path, base: SentenceEncoder, trained: SentenceEncoder, task: EvaluationTask) -> Verdict:
    """Compare two encoders; `copy`, a collection, takes the vectors of both in turn."""
    if read_manifest(copy).encoder.differences(base.fingerprint):
        reembed(copy, base)
    with open_searcher(copy, encoder=base) as searcher:
        before = _runs(searcher, task, "base")
    reembed(copy, trained)
    with open_searcher(copy, encoder=trained) as searcher:
        after = _runs(searcher, task, "adapted")
    dense, default = adjusted([compare_evaluations(a, b) for a, b in zip(before, after, strict=True)])
    return Verdict(dense, default, _slices(before[0], after[0], task))


def _slices(before: Evaluation, after: Evaluation, task: EvaluationTask) -> dict[str, PairedComparison]:
    """Compare two evaluations for short, middling and long queries."""
    found = {}
    for label, queries in slice_topics(task.topics, LENGTH).items():
        parts = [restrict_evaluation(each, task.qrels, RetrievalRun(each.run, {}), queries) for each in (before, after)]
        if parts[0].queries:
            found[label] = compare_evaluations(*parts)
    return found


def _lost(pair: PairedComparison) -> bool:
    return pair.deciding.difference < -MAX_LOSS


def _runs(searcher: Searcher, task: EvaluationTask, name: str) -> list[Evaluation]:
    """Evaluate dense mode and the default mode."""
    depth = depth_needed(parse_measures(MEASURE))
    template = SearchRequest("", k=depth, passages_per_document=1, fields=(), pins=False, exact=True)
    evaluations = []
    for mode in (Mode.DENSE, None):
        timed = run_queries(searcher.search_many, task.topics, replace(template, mode=mode))
        evaluations.append(evaluate(RetrievalRun(name, timed.run.rankings), task.qrels, MEASURE))
    return evaluations
