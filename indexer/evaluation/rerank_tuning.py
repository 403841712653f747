"""Decide by judged queries whether a reranker helps, and with which settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from retrieval.metrics.evaluation import evaluate
from retrieval.metrics.measures import depth_needed, parse_measures
from retrieval.metrics.run_queries import ProgressCallback, run_queries
from retrieval.metrics.tasks import EvaluationTask
from retrieval.metrics.tuning import QueryValues, Settings, TuningResult, tune
from retrieval.protocols import Reranker
from retrieval.search.rerankers import RerankerFolders, TimedReranker
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.types import RerankOptions, Scores, SearchRequest

DEPTHS = (0, 10, 20)  # 0: without the reranker
WEIGHTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
UNUSED: Settings = {"depth": 0, "rerank_weight": 0.3}


def tune_reranker(
    path: Path, task: EvaluationTask, measure: str, name: str, *, seed: int = 0, watch: ProgressCallback | None = None
) -> TuningResult:
    """Find the depth and the weight of a reranker with the best measure.

    The result is accepted only if the held-out gain over searches without the reranker is significant.  Nothing is
    written.  `watch` takes the number of settings measured.
    """
    reranker = CachingReranker(RerankerFolders().get(name))
    with open_searcher(path, rerankers=_OneReranker(name, reranker)) as searcher:
        objective = RerankObjective(searcher, task, measure, name, watch or (lambda _: None))
        space = {"depth": DEPTHS, "rerank_weight": WEIGHTS}
        return tune(objective.measure, space, UNUSED, len(task.topics), seed=seed)


class CachingReranker:
    """A reranker that scores each pair once, since all settings rerank the same pairs."""

    def __init__(self, reranker: Reranker) -> None:
        self._reranker = reranker
        self._known: dict[tuple[str, str], float] = {}

    def score(self, query: str, texts: Sequence[str]) -> Scores:
        """Return the score of the query with each text, (n,)."""
        new = [text for text in dict.fromkeys(texts) if (query, text) not in self._known]
        self._known.update(zip(((query, text) for text in new), self._reranker.score(query, new).tolist(), strict=True))
        return np.array([self._known[query, text] for text in texts], np.float32)


class _OneReranker:
    def __init__(self, name: str, reranker: Reranker) -> None:
        self._timed = TimedReranker(name, reranker)

    def get(self, name: str) -> TimedReranker:  # noqa: ARG002
        return self._timed


class RerankObjective:
    """Measures a task's queries under depths and weights of a reranker."""

    def __init__(
        self, searcher: Searcher, task: EvaluationTask, measure: str, name: str, watch: ProgressCallback
    ) -> None:
        self._searcher = searcher
        self._task = task
        self._measure = str(parse_measures(measure)[0])
        self._k = depth_needed(parse_measures(self._measure))
        self._name = name
        self._watch = watch
        self._done = 0

    def measure(self, settings: Settings) -> QueryValues:
        """Return the value of each query under the settings."""
        depth = settings["depth"]
        rerank = RerankOptions(self._name, depth, settings["rerank_weight"]) if depth else None
        request = SearchRequest("", k=self._k, passages_per_document=1, rerank=rerank)
        run = run_queries(self._searcher.search_many, self._task.topics, request).run
        self._done += 1
        self._watch(self._done)
        evaluation = evaluate(run, self._task.qrels, self._measure, asked={topic.id for topic in self._task.topics})
        return evaluation.values[self._measure].per_query
