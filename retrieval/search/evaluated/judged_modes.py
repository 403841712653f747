"""Judgments made while searching, as topics and qrels, and the modes they measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from retrieval.index.collection.judgments import Judgment
from retrieval.metrics.evaluation import evaluate
from retrieval.metrics.run_queries import SearchFunction, run_queries
from retrieval.metrics.runs import Qrels, Topic, query_id
from retrieval.types import Mode, SearchRequest

MEASURES = "nDCG@10 Judged@10"
DEPTH = 10
MAX_QUERIES = 200  # the newest ones are measured


@dataclass(frozen=True, slots=True)
class ModeMeasures:
    mode: Mode
    measures: dict[str, float]


def topics_of(judgments: Sequence[Judgment]) -> tuple[Topic, ...]:
    """Return the judged queries, in the order of their first judgment."""
    return tuple(Topic(query_id(query), query) for query in dict.fromkeys(each.query for each in judgments))


def qrels_of(judgments: Sequence[Judgment]) -> Qrels:
    table: dict[str, dict[str, int]] = {}
    for each in judgments:
        table.setdefault(query_id(each.query), {})[each.document] = each.grade
    return Qrels("judgments", table)


def measure_modes(answer: SearchFunction, judgments: Sequence[Judgment], modes: Sequence[Mode]) -> list[ModeMeasures]:
    """Measure how each mode ranks the judged documents."""
    topics = topics_of(judgments)[-MAX_QUERIES:]
    qrels = qrels_of(judgments)
    found = []
    for mode in modes:
        template = SearchRequest("", k=DEPTH, mode=mode, passages_per_document=1)
        run = run_queries(answer, topics, template).run
        figures = evaluate(run, qrels, MEASURES, asked={topic.id for topic in topics}).aggregates
        found.append(ModeMeasures(mode, figures))
    return found
