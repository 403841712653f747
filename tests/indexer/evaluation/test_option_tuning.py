"""Rerankers that help, and rerankers that do not, on judged queries."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from indexer.building.pipeline import build_collection
from indexer.evaluation.option_tuning import (
    RERANK,
    SYNTAX,
    CachingReranker,
    OptionObjective,
    chosen_boosts,
    options_space,
    tune_options,
)
from retrieval.boosts import Boost
from retrieval.metrics.runs import Qrels, Topic
from retrieval.metrics.tasks import EvaluationTask
from retrieval.metrics.tuning import tune
from retrieval.search.rerankers import TimedReranker
from retrieval.search.searcher import open_searcher
from retrieval.types import Scores, SearchRequest, Syntax

NUMBERS = 24
SPACE = {RERANK: (None, (5, 0.3), (5, 1.0))}


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
        {
            "id": f"{kind}{i}",
            "text": f"Report {i} on item {i}{', with a careful answer' if kind == 'b' else ''}.",
            "careful": kind == "b",
            "size": i,
        }
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
        objective = OptionObjective(searcher, task, "RR@10", "marked", lambda _: None)
        tuned = tune(objective.measure, SPACE, {RERANK: None}, NUMBERS)
    assert tuned.accepted is helps
    assert (tuned.chosen[RERANK] is not None) is helps


BOOSTS = (Boost(1.0, filter="careful"), Boost(1.0, field="size", curve="log1p"))


def test_the_weights_of_boosts_are_learnt(collection: Path, task: EvaluationTask) -> None:
    tuned = tune_options(collection, task, "RR@10", "", BOOSTS)
    assert tuned is not None
    assert tuned.accepted
    assert list(tuned.grid) == ["boost 1, careful", "boost 2, log1p(size)"]
    [boost] = chosen_boosts(BOOSTS, tuned.chosen)
    assert (boost.filter, boost.weight > 1.0) == ("careful", True)
    with open_searcher(collection) as searcher:
        for topic in task.topics[:5]:
            request = SearchRequest(topic.text, k=1, boosts=(boost,))
            assert [hit.id for hit in searcher.search(request).hits] == [f"b{topic.id}"]


def test_operators_are_tried_when_a_query_has_some() -> None:
    def space(*texts: str) -> set[str]:
        return set(options_space([Topic(text, text) for text in texts], ""))

    assert space("an old report", "docker run -it") == {SYNTAX}
    assert space("an old report", 'a "careful answer"') == {SYNTAX}
    assert space("an old report", "a well-known answer") == set()
    assert space("an old report", "-report") == set()  # with operators, this query would have no word to look for


def test_operators_that_exclude_the_relevant_document_are_refused(collection: Path, task: EvaluationTask) -> None:
    topics = tuple(Topic(topic.id, f"{topic.text} -careful") for topic in task.topics)
    tuned = tune_options(collection, EvaluationTask("marked", topics, task.qrels), "RR@10")
    assert tuned is not None
    assert tuned.chosen == {SYNTAX: Syntax.PLAIN}
    assert not tuned.accepted


def test_a_pair_is_scored_once() -> None:
    marked = Marked("a")
    cached = CachingReranker(marked)
    for _ in range(3):
        assert cached.score("q", ["a", "b", "a"]).tolist() == [1, 0, 1]
    assert marked.pairs == 2
