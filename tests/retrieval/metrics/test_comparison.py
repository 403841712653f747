"""A comparison says what happened, and no more."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.errors import BadJudgments, InputError
from retrieval.metrics.comparison import compare_runs, most_changed_queries
from retrieval.metrics.runs import Qrels, RetrievalRun, make_ranking, make_run

QUERIES = [f"q{i}" for i in range(40)]
QRELS = Qrels("q", {query: {"good": 1, "bad": 0} for query in QUERIES})


def placed(name: str, places: dict[str, int]) -> RetrievalRun:
    """Make a run with the relevant document at the given rank of each query."""
    rankings = {}
    for query, place in places.items():
        ids = [f"x{i}" for i in range(place - 1)] + ["good", "bad"]
        rankings[query] = make_ranking(ids, range(len(ids), 0, -1))
    return RetrievalRun(name, rankings)


def noisy(name: str, seed: int, best: int) -> RetrievalRun:
    rng = np.random.default_rng(seed)
    return placed(name, {query: int(place) for query, place in zip(QUERIES, rng.integers(best, 8, 40), strict=True)})


def test_a_better_system_is_called_better_with_its_interval() -> None:
    worst, best = placed("A", dict.fromkeys(QUERIES, 4)), noisy("B", 1, 1)
    (pair,) = compare_runs([worst, best], QRELS, "RR@10").pairs
    d = pair.deciding
    assert d.low <= d.difference <= d.high
    assert d.wins + d.losses + d.ties == 40
    assert d.difference == pytest.approx(d.mean_b - d.mean_a)
    assert pair.verdict.startswith("B is better than A: +0.")
    assert "RR@10 [+0." in pair.verdict
    (turned,) = compare_runs([best, worst], QRELS, "RR@10").pairs
    assert turned.verdict.startswith("A is worse than B: −0.")
    assert turned.deciding.p == pytest.approx(d.p, abs=0.01)


def test_chance_is_not_called_better() -> None:
    (pair,) = compare_runs([noisy("A", 1, 2), noisy("B", 2, 2)], QRELS, "RR@10").pairs
    assert not pair.deciding.significant
    assert "no difference shown between B and A" in pair.verdict
    assert "40 queries detect 0." in pair.verdict


def test_one_query_shows_no_difference() -> None:
    qrels = Qrels("q", {"q0": {"good": 1}})
    (pair,) = compare_runs([placed("A", {"q0": 1}), placed("B", {"q0": 2})], qrels, "RR@10").pairs
    assert pair.verdict.endswith("; one query can show none")


def test_equal_runs() -> None:
    run = noisy("A", 1, 1)
    (pair,) = compare_runs([run, RetrievalRun("B", run.rankings)], QRELS, "RR@10 nDCG@10").pairs
    assert pair.verdict == "no difference: B and A have the same RR@10 in all 40 queries"
    assert pair.deciding.p == pair.deciding.p_t == 1.0


def test_more_systems_are_corrected_for() -> None:
    runs = [noisy(name, seed, 1) for seed, name in enumerate("ABCD")]
    contest = compare_runs(runs, QRELS, "RR@10")
    assert [(pair.a, pair.b) for pair in contest.pairs] == [("A", "B"), ("A", "C"), ("A", "D")]
    for pair in contest.pairs:
        assert pair.deciding.p_adjusted >= pair.deciding.p
    assert len(compare_runs(runs, QRELS, "RR@10", every_pair=True).pairs) == 6


def test_queries_that_nobody_answers_tell_nothing_and_one_sided_ones_count_as_zero() -> None:
    a, b = placed("A", {"q1": 1, "q2": 1}), placed("B", {"q1": 1})
    contest = compare_runs([a, b], QRELS, "RR@10")
    assert contest.pairs[0].queries == ("q1", "q2")
    assert [each.coverage.without_results for each in contest.evaluations] == [0, 1]
    assert contest.pairs[0].deciding.losses == 1


def test_what_changed_most_both_ways_with_the_documents_that_moved() -> None:
    a = placed("A", {"q1": 1, "q2": 4, "q3": 2})
    b = placed("B", {"q1": 5, "q2": 1, "q3": 2})
    contest = compare_runs([a, b], QRELS, "RR@10")
    up, down = most_changed_queries(*contest.evaluations, (a, b), QRELS)
    assert (up.query, up.difference, down.query, down.difference) == ("q2", 0.75, "q1", pytest.approx(-0.8))
    assert (up.moved[0].document, up.moved[0].rank_a, up.moved[0].rank_b) == ("good", 4, 1)


def test_false_positives_of_whole_comparisons() -> None:
    rng = np.random.default_rng(11)
    queries = [f"q{i}" for i in range(30)]
    qrels = Qrels("q", {query: {"good": 1} for query in queries})

    def system(name: str) -> RetrievalRun:
        return placed(name, {query: int(rng.integers(1, 12)) for query in queries})

    shown = sum(
        compare_runs([system("A"), system("B")], qrels, "RR@10", rounds=500, seed=i).pairs[0].deciding.significant
        for i in range(1000)
    )
    assert shown / 1000 == pytest.approx(0.05, abs=0.015)


def test_bad_input() -> None:
    run = make_run("A", {"q1": {"a": 1.0}})
    with pytest.raises(InputError, match="needs two systems"):
        compare_runs([run], QRELS, "AP")
    with pytest.raises(BadJudgments, match="no query of the runs is judged"):
        compare_runs([run, run], Qrels("q", {"other": {"a": 1}}), "AP")
