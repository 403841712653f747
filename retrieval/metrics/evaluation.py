"""A run against judgments: figures, their denominators, and what was left aside."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from retrieval.errors import BadJudgments
from retrieval.metrics.measures import Values, compute, parse_measures, summed_up
from retrieval.metrics.runs import Qrels, Run


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the figures stand on.  All numbers are of queries, `judged_at_10` aside."""

    averaged: int  # the denominator of every mean: judged queries that were asked
    without_results: int  # of those: nothing was found; they count as 0
    without_relevant: int  # of those: no document is judged relevant; they count as 0
    unjudged: int  # queries of the run (or asked) that have no judgments; left aside
    not_asked: int  # judged queries that were not among those asked; left aside
    judged_at_10: float  # share of the first ten hits that have a judgment, over the averaged queries


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The figures of one run.  `values[m].per_query[i]` belongs to `queries[i]`."""

    run: str
    queries: tuple[str, ...]
    values: Mapping[str, Values]
    coverage: Coverage

    @property
    def figures(self) -> dict[str, float]:
        """Measure → the figure over all queries."""
        return {name: values.figure for name, values in self.values.items()}

    def per_query(self) -> dict[str, dict[str, float]]:
        """Query → measure → value."""
        columns = {name: values.per_query.tolist() for name, values in self.values.items()}
        return {query: {name: column[i] for name, column in columns.items()} for i, query in enumerate(self.queries)}


def evaluate(run: Run, qrels: Qrels, measures: str, *, asked: Collection[str] | None = None) -> Evaluation:
    """Measure a run over the judged queries among `asked` (by default all judged queries).

    A judged query for which the run has nothing counts as 0, as with trec_eval's `-c`; a query without judgments is
    left aside; both are counted.  Raises BadJudgments when no query is left or the run answers none of them.
    """
    queries = tuple(query for query in qrels.judgments if asked is None or query in asked)
    _require_overlap(run, qrels, queries)
    parsed = parse_measures(measures)
    values = {each.measure: each for each in compute(parsed, qrels, queries, run.rankings)}
    return Evaluation(run.name, queries, values, _coverage(run, qrels, queries, asked))


def restricted(evaluation: Evaluation, qrels: Qrels, run: Run, queries: Collection[str]) -> Evaluation:
    """The same values over some of the queries, for a slice."""
    places = [place for place, query in enumerate(evaluation.queries) if query in queries]
    kept = tuple(evaluation.queries[place] for place in places)
    measures = parse_measures(" ".join(evaluation.values))
    values = {
        str(measure): _restricted_values(measure, evaluation.values[str(measure)], places) for measure in measures
    }
    return Evaluation(evaluation.run, kept, values, _coverage(run, qrels, kept, kept))


def judged_share(run: Run, qrels: Qrels, queries: Sequence[str], depth: int = 10) -> float:
    """Share of the first `depth` hits of the queries that have a judgment; 0.0 where there are no hits."""
    judged = total = 0
    for query in queries:
        if query in run.rankings:
            top = run.rankings[query].ids[:depth]
            judged += sum(document in qrels.judgments[query] for document in top)
            total += len(top)
    return judged / total if total else 0.0


def _restricted_values(measure: object, values: Values, places: list[int]) -> Values:
    chosen = values.per_query[np.array(places, dtype=np.int64)]
    return Values(values.measure, chosen, summed_up(measure, chosen))


def _coverage(run: Run, qrels: Qrels, queries: Sequence[str], asked: Collection[str] | None) -> Coverage:
    found = set(run.rankings)
    return Coverage(
        averaged=len(queries),
        without_results=sum(query not in found or not len(run.rankings[query]) for query in queries),
        without_relevant=sum(not qrels.relevant(query) for query in queries),
        unjudged=len((found if asked is None else found | set(asked)) - set(qrels.judgments)),
        not_asked=len(qrels.judgments) - len(queries),
        judged_at_10=judged_share(run, qrels, queries),
    )


def _require_overlap(run: Run, qrels: Qrels, queries: Sequence[str]) -> None:
    if not any(query in run.rankings for query in queries):
        found, judged = _sample(run.rankings), _sample(qrels.judgments)
        raise BadJudgments(f"no query of the run is judged: the run has {found}, the judgments {judged}")


def _sample(ids: Collection[str]) -> str:
    first = ", ".join(repr(each) for each in list(ids)[:3])
    return f"{first} … ({len(ids)} queries)" if len(ids) > 3 else first or "no queries"
