"""Evaluate a run by judgments: measures, coverage, intervals, slices and gates."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from retrieval.errors import BadJudgments, InputError
from retrieval.metrics.measures import MeasureValues, aggregate_values, compute_measures, parse_measure, parse_measures
from retrieval.metrics.runs import Qrels, RetrievalRun, Topic
from retrieval.metrics.significance import bootstrap_intervals
from retrieval.util.intervals import wilson_interval

LENGTH = "length"  # the slice that every query has: the number of characters of its text
MAX_GROUPS = 12
NO_VALUE = "(none)"


@dataclass(frozen=True, slots=True)
class Coverage:
    """The queries behind the aggregates; all numbers but `judged_at_10` count queries."""

    averaged: int  # the denominator of every mean: judged queries that were asked
    without_results: int  # of those: the run has no hit; they count as 0
    without_relevant: int  # of those: no document is judged relevant; they count as 0
    unjudged: int  # queries of the run (or asked) without judgments; not counted in the mean
    not_asked: int  # judged queries that were not asked; not counted in the mean
    judged_at_10: float  # share of the first ten hits that have a judgment, over the averaged queries


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The measures of one run.  `values[m].per_query[i]` belongs to `queries[i]`."""

    run: str
    queries: tuple[str, ...]
    values: Mapping[str, MeasureValues]
    coverage: Coverage

    @property
    def aggregates(self) -> dict[str, float]:
        return {name: values.aggregate for name, values in self.values.items()}

    def per_query(self) -> dict[str, dict[str, float]]:
        """Return query → measure → value."""
        columns = {name: values.per_query.tolist() for name, values in self.values.items()}
        return {query: {name: column[i] for name, column in columns.items()} for i, query in enumerate(self.queries)}


def evaluate(run: RetrievalRun, qrels: Qrels, measures: str, *, asked: Collection[str] | None = None) -> Evaluation:
    """Measure a run over the judged queries among `asked`.

    By default these are all judged queries.  A judged query without hits in the run counts as 0, as with trec_eval's
    `-c`.  A query without judgments is not averaged.  The coverage counts both.  Raises BadJudgments if no query is
    left or the run has none of them.
    """
    queries = tuple(query for query in qrels.judgments if asked is None or query in asked)
    _require_overlap(run, qrels, queries)
    values = compute_measures(parse_measures(measures), qrels, queries, run.rankings)
    by_name = {value.measure: value for value in values}
    return Evaluation(run.name, queries, by_name, _coverage(run, qrels, queries, asked))


def restrict_evaluation(
    evaluation: Evaluation, qrels: Qrels, run: RetrievalRun, queries: Collection[str]
) -> Evaluation:
    """Return the same values over some of the queries, for a slice."""
    rows = np.array([row for row, query in enumerate(evaluation.queries) if query in queries], dtype=np.int64)
    kept = tuple(evaluation.queries[row] for row in rows)
    values = {}
    for measure in parse_measures(" ".join(evaluation.values)):
        per_query = evaluation.values[str(measure)].per_query[rows]
        values[str(measure)] = MeasureValues(str(measure), per_query, aggregate_values(measure, per_query))
    return Evaluation(evaluation.run, kept, values, _coverage(run, qrels, kept, kept))


def confidence_intervals(evaluation: Evaluation) -> dict[str, list[float]]:
    """Return measure → ends of the 95 % interval of its mean.

    The interval is a bootstrap interval, or Wilson's if every value is 0 or 1.  A measure that is a sum has none.
    """
    means = {
        name: values.per_query
        for name, values in evaluation.values.items()
        if math.isclose(values.aggregate, float(values.per_query.mean()), abs_tol=1e-12)
    }
    if not means:
        return {}
    lows, highs = bootstrap_intervals(np.stack(list(means.values()), axis=1))
    intervals = {name: [float(low), float(high)] for name, low, high in zip(means, lows, highs, strict=True)}
    for name, values in means.items():
        if np.isin(values, (0.0, 1.0)).all():
            intervals[name] = list(wilson_interval(float(values.mean()), len(values)))
    return intervals


def slice_topics(topics: Sequence[Topic], by: str) -> Mapping[str, frozenset[str]]:
    """Return label → ids of queries, grouped by text length or by a field.

    Numbers form three groups of about equal size; any other value is a group.  Raises InputError for an unknown field.
    """
    if by == LENGTH:
        return _thirds(topics, lambda topic: float(len(topic.text)), "characters")
    fields = sorted({name for topic in topics for name in topic.attributes})
    if by not in fields:
        raise InputError(f"queries have no field {by!r} to slice by; there is: {', '.join([LENGTH, *fields])}")
    values = {topic.id: topic.attributes.get(by, NO_VALUE) for topic in topics}
    distinct = sorted(set(values.values()))
    if len(distinct) > MAX_GROUPS:
        if all(_is_number(value) for value in distinct):
            return _thirds(topics, lambda topic: float(topic.attributes[by]), by)
        raise InputError(
            f"field {by!r} has {len(distinct)} values, and a slice has at most {MAX_GROUPS}; slice by another field"
        )
    return {group: frozenset(query for query, value in values.items() if value == group) for group in distinct}


@dataclass(frozen=True, slots=True)
class Gate:
    """The minimum value of a measure, for a CI pipeline."""

    measure: str
    minimum: float


@dataclass(frozen=True, slots=True)
class GateResult:
    """A gate and the value that the evaluation has."""

    gate: Gate
    value: float

    @property
    def passed(self) -> bool:
        return self.value >= self.gate.minimum

    def __str__(self) -> str:
        relation = "reaches" if self.passed else "is below"
        return f"{self.gate.measure} {self.value:.4f} {relation} {self.gate.minimum:g}"


def parse_gate(text: str) -> Gate:
    """Parse a gate such as `nDCG@10=0.70`.  Raises InputError and BadMeasure."""
    name, sign, minimum = text.rpartition("=")
    try:
        value = float(minimum)
    except ValueError:
        value = math.nan
    if not sign or math.isnan(value):
        raise InputError(f"gate {text!r} cannot be parsed; write measure=minimum, such as nDCG@10=0.70")
    return Gate(str(parse_measure(name)), value)


def check_gates(gates: Sequence[Gate], aggregates: Mapping[str, float]) -> tuple[GateResult, ...]:
    """Check each gate; `aggregates` must have its measure."""
    return tuple(GateResult(gate, aggregates[gate.measure]) for gate in gates)


def _coverage(run: RetrievalRun, qrels: Qrels, queries: Sequence[str], asked: Collection[str] | None) -> Coverage:
    found = set(run.rankings)
    top = [(query, document) for query in queries if query in found for document in run.rankings[query].ids[:10]]
    known = {query: qrels.judged(query) for query in queries}
    judged = sum(document in known[query] for query, document in top)
    return Coverage(
        averaged=len(queries),
        without_results=sum(query not in found or not len(run.rankings[query]) for query in queries),
        without_relevant=sum(not qrels.relevant(query) for query in queries),
        unjudged=len((found if asked is None else found | set(asked)) - set(qrels.judgments)),
        not_asked=len(qrels.judgments) - len(queries),
        judged_at_10=judged / len(top) if top else 0.0,
    )


def _require_overlap(run: RetrievalRun, qrels: Qrels, queries: Sequence[str]) -> None:
    if not any(query in run.rankings for query in queries):
        found, judged = _sample(run.rankings), _sample(qrels.judgments)
        raise BadJudgments(
            f"no query of the run is judged: the run has {found}, the judgments {judged}; check that both are of the "
            "same queries"
        )


def _sample(ids: Collection[str]) -> str:
    first = ", ".join(map(repr, list(ids)[:3]))
    return f"{first} … ({len(ids)} queries)" if len(ids) > 3 else first or "no queries"


def _thirds(topics: Sequence[Topic], size: Callable[[Topic], float], unit: str) -> dict[str, frozenset[str]]:
    sizes = {topic.id: size(topic) for topic in topics}
    low, high = np.quantile(list(sizes.values()), [1 / 3, 2 / 3])
    groups = {
        f"to {low:g} {unit}": {query for query, value in sizes.items() if value <= low},
        f"to {high:g} {unit}": {query for query, value in sizes.items() if low < value <= high},
        f"over {high:g} {unit}": {query for query, value in sizes.items() if value > high},
    }
    return {label: frozenset(queries) for label, queries in groups.items() if queries}


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
