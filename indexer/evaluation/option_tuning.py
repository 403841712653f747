"""Decide by judged queries whether options of a search help.

The options are a reranker, operators and the weights of boosts.  A search uses them only if it asks for them, so the
decision is advice: nothing is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.boosts import Boost
from retrieval.index.lexical.phrases import parse_query
from retrieval.metrics.evaluation import evaluate
from retrieval.metrics.measures import depth_needed, parse_measures
from retrieval.metrics.run_queries import ProgressCallback, run_queries
from retrieval.metrics.runs import Topic
from retrieval.metrics.tasks import EvaluationTask
from retrieval.metrics.tuning import QueryValues, Settings, TimeBudget, TuningResult, tune
from retrieval.protocols import Reranker
from retrieval.search.rerankers import RerankerFolders, TimedReranker
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.types import RerankOptions, Scores, SearchRequest, Syntax

DEPTHS = (10, 20, 50)
WEIGHTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
BOOST_WEIGHTS = (1.0, 0.5, 0.7, 0.9, 1.1, 1.3, 1.6, 2.0, 3.0)  # the first changes nothing
RERANK, SYNTAX = "rerank", "syntax"  # settings: (depth, weight) or None; a syntax


def tune_options(
    path: Path,
    task: EvaluationTask,
    measure: str,
    reranker: str = "",
    boosts: Sequence[Boost] = (),
    *,
    seed: int = 0,
    watch: ProgressCallback | None = None,
    budget: TimeBudget | None = None,
) -> TuningResult | None:
    """Find out whether a reranker, operators or boosts improve the measure.

    Return None if there is nothing to try.  Operators are tried when a query has any.  Each of `boosts` is tried with
    BOOST_WEIGHTS; its own weight does not count.  The result is accepted only if
    the held-out gain over plain searches of the collection, as it is tuned now, is significant.  `watch` takes the
    number of settings measured.
    """
    space = options_space(task.topics, reranker, boosts)
    if not space:
        return None
    rerankers = _OneReranker(reranker) if reranker else None
    with open_searcher(path, rerankers=rerankers) as searcher:
        objective = OptionObjective(searcher, task, measure, reranker, watch or (lambda _: None), boosts)
        defaults = {name: values[0] for name, values in space.items()}
        return tune(objective.measure, space, defaults, len(task.topics), seed=seed, budget=budget)


def options_space(topics: Sequence[Topic], reranker: str, boosts: Sequence[Boost] = ()) -> dict[str, Sequence[Any]]:
    """Return the options to try and their values, the default first."""
    space: dict[str, Sequence[Any]] = {}
    parsed = [(topic.text, parse_query(topic.text, Syntax.OPERATORS)) for topic in topics]
    if any(query.phrases or query.excluded for _, query in parsed) and all(query.plain for _, query in parsed):
        space[SYNTAX] = (Syntax.PLAIN, Syntax.OPERATORS)
    if reranker:
        space[RERANK] = (None, *product(DEPTHS, WEIGHTS))
    for number, boost in enumerate(boosts):
        space[boost_setting(number, boost)] = BOOST_WEIGHTS
    return space


def boost_setting(number: int, boost: Boost) -> str:
    """Return the name of the setting for the weight of a boost."""
    return f"boost {number + 1}, {boost.condition}"


def chosen_boosts(boosts: Sequence[Boost], settings: Settings) -> tuple[Boost, ...]:
    """Return the boosts with the weights of the settings, without those of 1."""
    weights = [float(settings.get(boost_setting(*each), 1.0)) for each in enumerate(boosts)]
    return tuple(replace(boost, weight=weight) for boost, weight in zip(boosts, weights, strict=True) if weight != 1.0)


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
    """The reranker of that name; it remembers the scores of pairs."""

    def __init__(self, name: str) -> None:
        loaded = RerankerFolders().get(name)
        self._timed = loaded if loaded.late else TimedReranker(name, CachingReranker(loaded))

    def get(self, name: str) -> TimedReranker:  # noqa: ARG002
        return self._timed


class OptionObjective:
    """Measures a task's queries under options of a search."""

    def __init__(
        self,
        searcher: Searcher,
        task: EvaluationTask,
        measure: str,
        reranker: str,
        watch: ProgressCallback,
        boosts: Sequence[Boost] = (),
    ) -> None:
        self._searcher = searcher
        self._task = task
        self._measure = str(parse_measures(measure)[0])
        self._k = depth_needed(parse_measures(self._measure))
        self._reranker = reranker
        self._boosts = boosts
        self._watch = watch
        self._done = 0

    def measure(self, settings: Settings) -> QueryValues:
        """Return the value of each query under the settings."""
        chosen = settings.get(RERANK)
        rerank = RerankOptions(self._reranker, *chosen) if chosen else None
        syntax = settings.get(SYNTAX, Syntax.PLAIN)
        boosts = chosen_boosts(self._boosts, settings)
        request = SearchRequest("", k=self._k, passages_per_document=1, syntax=syntax, rerank=rerank, boosts=boosts)
        run = run_queries(self._searcher.search_many, self._task.topics, request).run
        self._done += 1
        self._watch(self._done)
        evaluation = evaluate(run, self._task.qrels, self._measure, asked={topic.id for topic in self._task.topics})
        return evaluation.values[self._measure].per_query
