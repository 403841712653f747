"""Rerankers that help, and rerankers that do not, on judged queries."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from indexer.building.pipeline import build_collection
from indexer.evaluation.rerank_tuning import UNUSED, CachingReranker, RerankObjective
from retrieval.metrics.runs import Qrels, Topic
from retrieval.metrics.tasks import EvaluationTask
from retrieval.metrics.tuning import tune
from retrieval.search.rerankers import TimedReranker
from retrieval.search.searcher import open_searcher
from retrieval.types import Scores

NUMBERS = 24
SPACE = {"depth": (0, 5), "rerank_weight": (0.3, 1.0)}


class Marked:
    """A reranker that prefers texts with a word, and counts the pairs that it scores."""

    def __init__(self, word: str) -> None:
        self.word = word
        self.pairs = 0

    def score(self, query: str, texts: Sequence[str]) -> Scores:  # noqa: ARG002
        self.pairs += len(texts)
        return np.array([self.word in text for text in texts], np.float32)

    def get(self, name: str) -> TimedReranker:
        return TimedReranker(name, self)


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs of documents about one number; the second has the word that makes it relevant."""
    root = tmp_path_factory.mktemp("marked")
    texts = [
        {"id": f"{kind}{i}", "text": f"Report {i} on item {i}{', with a careful answer' if kind == 'b' else ''}."}
        for i in range(NUMBERS)
        for kind in "ab"
    ]
    (root / "documents.jsonl").write_text("\n".join(map(json.dumps, texts)))
    build_collection([root / "documents.jsonl"], root / "c")
    return root / "c"


@pytest.fixture(scope="module")
def task() -> EvaluationTask:
    topics = tuple(Topic(str(i), f"report {i} on item {i}") for i in range(NUMBERS))
    return EvaluationTask("marked", topics, Qrels("marked", {str(i): {f"b{i}": 1} for i in range(NUMBERS)}))


@pytest.mark.parametrize(("word", "helps"), [("careful", True), ("no such word", False)])
def test_only_a_significant_gain_chooses_a_reranker(
    collection: Path, task: EvaluationTask, word: str, helps: bool
) -> None:
    with open_searcher(collection, rerankers=Marked(word)) as searcher:
        objective = RerankObjective(searcher, task, "RR@10", "marked", lambda _: None)
        tuned = tune(objective.measure, SPACE, UNUSED, NUMBERS)
    assert tuned.accepted is helps
    assert (tuned.chosen["depth"] > 0) is helps


def test_a_pair_is_scored_once() -> None:
    marked = Marked("a")
    cached = CachingReranker(marked)
    for _ in range(3):
        assert cached.score("q", ["a", "b", "a"]).tolist() == [1, 0, 1]
    assert marked.pairs == 2
