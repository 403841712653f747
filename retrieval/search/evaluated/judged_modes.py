"""Judgments made while searching, as an evaluation needs them; and what they say of a ranking so far."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from retrieval.index.collection.judgments import Judgment
from retrieval.metrics.evaluation import evaluate
from retrieval.metrics.run_queries import SearchFunction, run_queries
from retrieval.metrics.runs import Qrels, Topic
from retrieval.types import Mode, SearchRequest

MEASURES = "nDCG@10 Judged@10"
DEPTH = 10
MOST_QUERIES = 200  # measured at once; the newest


@dataclass(frozen=True, slots=True)
class ModeMeasured:
    """Measures of one mode over the judged queries."""

    mode: Mode
    measures: dict[str, float]


def query_id(query: str) -> str:
    """The same for the same words, whoever judged when; fit for TREC files."""
    return "q" + hashlib.sha256(query.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def topics_of(judgments: Sequence[Judgment]) -> tuple[Topic, ...]:
    """The judged queries, in the order of their first judgment."""
    queries = dict.fromkeys(each.query for each in judgments)
    return tuple(Topic(query_id(query), query) for query in queries)


def qrels_of(judgments: Sequence[Judgment]) -> Qrels:
    """The judgments by query id."""
    table: dict[str, dict[str, int]] = {}
    for each in judgments:
        table.setdefault(query_id(each.query), {})[each.document] = each.grade
    return Qrels("judgments", table)


def topics_lines(judgments: Sequence[Judgment]) -> Iterator[str]:
    """BEIR's `queries.jsonl`."""
    for topic in topics_of(judgments):
        yield json.dumps({"_id": topic.id, "text": topic.text}, ensure_ascii=False) + "\n"


def measured(answer: SearchFunction, judgments: Sequence[Judgment], modes: Sequence[Mode]) -> list[ModeMeasured]:
    """How each mode ranks what was judged."""
    topics = topics_of(judgments)[-MOST_QUERIES:]
    qrels = qrels_of(judgments)
    found = []
    for mode in modes:
        template = SearchRequest("", k=DEPTH, mode=mode, passages_per_document=1)
        run = run_queries(answer, topics, template).run
        figures = evaluate(run, qrels, MEASURES, asked={topic.id for topic in topics}).aggregates
        found.append(ModeMeasured(mode, figures))
    return found
