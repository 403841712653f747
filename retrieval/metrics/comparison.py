"""Compare runs over the same queries: differences, tests, and a verdict."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from retrieval.errors import BadJudgments, InputError
from retrieval.metrics.evaluation import Evaluation, evaluate
from retrieval.metrics.runs import Qrels, RankedDocuments, RetrievalRun
from retrieval.metrics.significance import (
    ALPHA,
    ROUNDS,
    Matrix,
    bootstrap_intervals,
    detectable_difference,
    effect_size,
    holm,
    randomization_p,
    t_test_p,
)

TIE_TOLERANCE = 1e-9  # two values of a query that differ by less are a tie
MAX_RANK_CHANGES = 5  # documents listed for a changed query


@dataclass(frozen=True, slots=True)
class Difference:
    """B minus A in one measure."""

    measure: str
    mean_a: float
    mean_b: float
    difference: float
    low: float  # ends of the 95 % paired bootstrap interval of the difference
    high: float
    p: float  # randomisation test
    p_adjusted: float  # after Holm's correction over all pairs; equal to `p` for one pair
    p_t: float  # paired t test
    effect: float  # mean difference in standard deviations of the differences
    wins: int  # queries where B is higher
    losses: int
    ties: int
    detectable: float  # smallest difference that the test detects with 80 % power

    @property
    def significant(self) -> bool:
        return self.p_adjusted < ALPHA


@dataclass(frozen=True, slots=True)
class RankChange:
    """A judged document whose rank changed; ranks start at 1, None means not found."""

    document: str
    relevance: int
    rank_a: int | None
    rank_b: int | None


@dataclass(frozen=True, slots=True)
class QueryChange:
    """The values of one query in the deciding measure."""

    query: str
    value_a: float
    value_b: float
    moved: tuple[RankChange, ...]

    @property
    def difference(self) -> float:
        return self.value_b - self.value_a


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """The comparison of two systems.  Its first measure decides the verdict."""

    a: str
    b: str
    queries: tuple[str, ...]
    differences: Mapping[str, Difference]

    @property
    def deciding(self) -> Difference:
        return next(iter(self.differences.values()))

    @property
    def verdict(self) -> str:
        d = self.deciding
        if d.significant:
            word = "better" if d.difference > 0 else "worse"
            gain = f"{format_difference(d.difference)} {d.measure} {format_interval(d.low, d.high)}"
            return f"{self.b} is {word} than {self.a}: {gain}, {format_p(d.p_adjusted)}"
        if d.wins == d.losses == 0:
            return f"no difference: {self.b} and {self.a} have the same {d.measure} in all {len(self.queries)} queries"
        count = len(self.queries)
        detects = f"{count} queries detect {d.detectable:.3f} or more" if count > 1 else "one query can show none"
        return f"no difference shown between {self.b} and {self.a} in {d.measure} ({format_p(d.p_adjusted)}); {detects}"


@dataclass(frozen=True, slots=True)
class RunComparison:
    """The evaluations of all systems, in the order given, and the pairs compared."""

    evaluations: tuple[Evaluation, ...]
    pairs: tuple[PairedComparison, ...]


def compare_runs(
    runs: Sequence[RetrievalRun],
    qrels: Qrels,
    measures: str,
    *,
    asked: Collection[str] | None = None,
    every_pair: bool = False,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> RunComparison:
    """Compare each run with the first, or every pair of runs.

    The queries are the judged ones among `asked`.  By default these are the queries that at least one run has, since
    the others hold no information.  A query that a run lacks counts as 0 for it.  Raises InputError for fewer than two
    runs, and the errors of `evaluate`.
    """
    if len(runs) < 2:
        raise InputError(f"a comparison needs two systems or more, and {len(runs)} is given; name another one")
    if asked is None:
        asked = {query for run in runs for query in run.rankings}
    if not any(query in asked for query in qrels.judgments):
        raise BadJudgments("no query of the runs is judged; check that the judgments are of the same queries")
    evaluations = tuple(evaluate(run, qrels, measures, asked=asked) for run in runs)
    chosen = combinations(range(len(runs)), 2) if every_pair else ((0, other) for other in range(1, len(runs)))
    pairs = [compare_evaluations(evaluations[a], evaluations[b], rounds=rounds, seed=seed) for a, b in chosen]
    return RunComparison(evaluations, tuple(adjusted(pairs)))


def compare_evaluations(a: Evaluation, b: Evaluation, *, rounds: int = ROUNDS, seed: int = 0) -> PairedComparison:
    """Compare two evaluations over the same queries; p values are not adjusted."""
    names = list(a.values)
    differences = _matrix(b) - _matrix(a)
    differences[np.abs(differences) < TIE_TOLERANCE] = 0.0
    low, high = bootstrap_intervals(differences, rounds=rounds, seed=seed)
    p = randomization_p(differences, rounds=rounds, seed=seed)
    p_t, effect, detectable = t_test_p(differences), effect_size(differences), detectable_difference(differences)
    found = {
        name: Difference(
            measure=name,
            mean_a=float(a.values[name].per_query.mean()),
            mean_b=float(b.values[name].per_query.mean()),
            difference=float(differences[:, i].mean()),
            low=float(low[i]),
            high=float(high[i]),
            p=float(p[i]),
            p_adjusted=float(p[i]),
            p_t=float(p_t[i]),
            effect=float(effect[i]),
            wins=int((differences[:, i] > 0).sum()),
            losses=int((differences[:, i] < 0).sum()),
            ties=int((differences[:, i] == 0).sum()),
            detectable=float(detectable[i]),
        )
        for i, name in enumerate(names)
    }
    return PairedComparison(a.run, b.run, a.queries, found)


def most_changed_queries(
    a: Evaluation, b: Evaluation, runs: tuple[RetrievalRun, RetrievalRun], qrels: Qrels, count: int = 5
) -> tuple[QueryChange, ...]:
    """Return the queries with the largest gains and losses in the deciding measure.

    There are at most `count` of each, the largest gain first and the largest loss last.
    """
    measure = next(iter(a.values))
    differences = b.values[measure].per_query - a.values[measure].per_query
    order = np.argsort(-differences, kind="stable")
    gains = [int(row) for row in order[:count] if differences[row] > TIE_TOLERANCE]
    losses = [int(row) for row in order[::-1][:count] if differences[row] < -TIE_TOLERANCE]
    return tuple(
        QueryChange(
            a.queries[row],
            float(a.values[measure].per_query[row]),
            float(b.values[measure].per_query[row]),
            _rank_changes(a.queries[row], runs, qrels),
        )
        for row in [*gains, *reversed(losses)]
    )


def format_p(p: float) -> str:
    """Format a p value, such as `p = 0.034` or `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def format_p_value(p: float) -> str:
    """Format a p value without its name, such as `0.034` or `< 0.001`."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def format_difference(value: float) -> str:
    """Format a difference with its sign, to three digits."""
    text = f"{value:+.3f}"
    return "0.000" if float(text) == 0 else text.replace("-", "−")


def format_interval(low: float, high: float) -> str:
    """Format the ends of an interval of a difference."""
    return f"[{format_difference(low)}, {format_difference(high)}]"


def _matrix(evaluation: Evaluation) -> Matrix:
    return np.stack([values.per_query for values in evaluation.values.values()], axis=1)


def adjusted(pairs: Sequence[PairedComparison]) -> list[PairedComparison]:
    """Adjust p values by Holm's method over the pairs, separately for each measure."""
    columns = {name: holm([pair.differences[name].p for pair in pairs]) for name in pairs[0].differences}
    return [
        replace(
            pair,
            differences={
                name: replace(difference, p_adjusted=float(columns[name][i]))
                for name, difference in pair.differences.items()
            },
        )
        for i, pair in enumerate(pairs)
    ]


def _rank_changes(query: str, runs: tuple[RetrievalRun, RetrievalRun], qrels: Qrels) -> tuple[RankChange, ...]:
    """Return judged documents whose rank changed, the most important changes first."""
    first, second = (_ranks(run.rankings.get(query)) for run in runs)
    moved = [
        RankChange(document, relevance, first.get(document), second.get(document))
        for document, relevance in qrels.judged(query).items()
        if first.get(document) != second.get(document)
    ]
    return tuple(sorted(moved, key=_importance, reverse=True)[:MAX_RANK_CHANGES])


def _ranks(ranking: RankedDocuments | None) -> dict[str, int]:
    return {} if ranking is None else {document: rank for rank, document in enumerate(ranking.ids, start=1)}


def _importance(moved: RankChange) -> tuple[int, float]:
    """Return the sort key: the relevance, then the change of the reciprocal rank."""
    change = abs((1 / moved.rank_b if moved.rank_b else 0.0) - (1 / moved.rank_a if moved.rank_a else 0.0))
    return moved.relevance, change
