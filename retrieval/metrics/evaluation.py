"""A run against judgments: figures, their denominators, and what was left aside."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from retrieval.errors import BadJudgments, InputError
from retrieval.metrics.measures import MeasureValues, aggregate_values, compute_measures, parse_measure, parse_measures
from retrieval.metrics.runs import Qrels, RetrievalRun, Topic


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
    values: Mapping[str, MeasureValues]
    coverage: Coverage

    @property
    def aggregates(self) -> dict[str, float]:
        """Measure → the figure over all queries."""
        return {name: values.aggregate for name, values in self.values.items()}

    def per_query(self) -> dict[str, dict[str, float]]:
        """Query → measure → value."""
        columns = {name: values.per_query.tolist() for name, values in self.values.items()}
        return {query: {name: column[i] for name, column in columns.items()} for i, query in enumerate(self.queries)}


def evaluate(run: RetrievalRun, qrels: Qrels, measures: str, *, asked: Collection[str] | None = None) -> Evaluation:
    """Measure a run over the judged queries among `asked` (by default all judged queries).

    A judged query for which the run has nothing counts as 0, as with trec_eval's `-c`; a query without judgments is
    left aside; both are counted.  Raises BadJudgments when no query is left or the run answers none of them.
    """
    queries = tuple(query for query in qrels.judgments if asked is None or query in asked)
    _require_overlap(run, qrels, queries)
    parsed = parse_measures(measures)
    values = {each.measure: each for each in compute_measures(parsed, qrels, queries, run.rankings)}
    return Evaluation(run.name, queries, values, _coverage(run, qrels, queries, asked))


def restrict_evaluation(
    evaluation: Evaluation, qrels: Qrels, run: RetrievalRun, queries: Collection[str]
) -> Evaluation:
    """The same values over some of the queries, for a slice."""
    places = [place for place, query in enumerate(evaluation.queries) if query in queries]
    kept = tuple(evaluation.queries[place] for place in places)
    measures = parse_measures(" ".join(evaluation.values))
    values = {
        str(measure): _restricted_values(measure, evaluation.values[str(measure)], places) for measure in measures
    }
    return Evaluation(evaluation.run, kept, values, _coverage(run, qrels, kept, kept))


def judged_share(run: RetrievalRun, qrels: Qrels, queries: Sequence[str], depth: int = 10) -> float:
    """Share of the first `depth` hits of the queries that have a judgment; 0.0 where there are no hits."""
    judged = total = 0
    for query in queries:
        if query in run.rankings:
            top = run.rankings[query].ids[:depth]
            judged += sum(document in qrels.judgments[query] for document in top)
            total += len(top)
    return judged / total if total else 0.0


def _restricted_values(measure: object, values: MeasureValues, places: list[int]) -> MeasureValues:
    chosen = values.per_query[np.array(places, dtype=np.int64)]
    return MeasureValues(values.measure, chosen, aggregate_values(measure, chosen))


def _coverage(run: RetrievalRun, qrels: Qrels, queries: Sequence[str], asked: Collection[str] | None) -> Coverage:
    found = set(run.rankings)
    return Coverage(
        averaged=len(queries),
        without_results=sum(query not in found or not len(run.rankings[query]) for query in queries),
        without_relevant=sum(not qrels.relevant(query) for query in queries),
        unjudged=len((found if asked is None else found | set(asked)) - set(qrels.judgments)),
        not_asked=len(qrels.judgments) - len(queries),
        judged_at_10=judged_share(run, qrels, queries),
    )


def _require_overlap(run: RetrievalRun, qrels: Qrels, queries: Sequence[str]) -> None:
    if not any(query in run.rankings for query in queries):
        found, judged = _sample(run.rankings), _sample(qrels.judgments)
        raise BadJudgments(f"no query of the run is judged: the run has {found}, the judgments {judged}")


def _sample(ids: Collection[str]) -> str:
    first = ", ".join(repr(each) for each in list(ids)[:3])
    return f"{first} … ({len(ids)} queries)" if len(ids) > 3 else first or "no queries"


LENGTH = "length"  # the slice that every query has: characters of its text
MOST_GROUPS = 12
NO_VALUE = "(none)"


def slice_topics(topics: Sequence[Topic], by: str) -> Mapping[str, frozenset[str]]:
    """Label → ids of queries.  Numbers are cut in three groups of about equal size; other values are groups.

    Raises InputError for a field that no query has.
    """
    if by == LENGTH:
        return _thirds(topics, lambda topic: float(len(topic.text)), "characters")
    fields = sorted({name for topic in topics for name in topic.attributes})
    if by not in fields:
        raise InputError(f"queries have no field {by!r} to slice by; there is: {', '.join([LENGTH, *fields])}")
    values = {topic.id: topic.attributes.get(by, NO_VALUE) for topic in topics}
    distinct = sorted(set(values.values()))
    if len(distinct) > MOST_GROUPS:
        if all(_is_number(value) for value in distinct):
            return _thirds(topics, lambda topic: float(topic.attributes[by]), by)
        raise InputError(f"field {by!r} has {len(distinct)} values; a slice has at most {MOST_GROUPS}")
    return {value: frozenset(query for query, own in values.items() if own == value) for value in distinct}


def _thirds(topics: Sequence[Topic], size: Callable[[Topic], float], unit: str) -> dict[str, frozenset[str]]:
    sizes = {topic.id: size(topic) for topic in topics}
    low, high = np.quantile(list(sizes.values()), [1 / 3, 2 / 3])
    groups = {
        f"to {low:g} {unit}": {query for query, own in sizes.items() if own <= low},
        f"to {high:g} {unit}": {query for query, own in sizes.items() if low < own <= high},
        f"over {high:g} {unit}": {query for query, own in sizes.items() if own > high},
    }
    return {label: frozenset(queries) for label, queries in groups.items() if queries}


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Gate:
    """The least value of a measure."""

    measure: str
    least: float


@dataclass(frozen=True, slots=True)
class GateResult:
    """What a gate found."""

    gate: Gate
    value: float

    @property
    def passed(self) -> bool:
        """Whether the figure reached the least value."""
        return self.value >= self.gate.least

    def __str__(self) -> str:
        relation = "reaches" if self.passed else "is below"
        return f"{self.gate.measure} {self.value:.4f} {relation} {self.gate.least:g}"


def parse_gate(text: str) -> Gate:
    """A gate written `nDCG@10=0.70`.  Raises InputError and BadMeasure."""
    name, sign, least = text.rpartition("=")
    try:
        value = float(least)
    except ValueError:
        value = math.nan
    if not sign or math.isnan(value):
        raise InputError(f"gate {text!r} cannot be read; write measure=least, such as nDCG@10=0.70")
    return Gate(str(parse_measure(name)), value)


def check_gates(gates: Sequence[Gate], figures: Mapping[str, float]) -> tuple[GateResult, ...]:
    """Each gate against the figures, which must hold its measure."""
    return tuple(GateResult(gate, figures[gate.measure]) for gate in gates)
