"""Team-draft interleaving and its outcome."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.metrics.interleaving import Team, interleaved_outcomes, sign_test_p, team_draft
from retrieval.metrics.query_log import LoggedClick, LoggedSearch, LogRecord

RANKINGS = st.permutations([f"d{number}" for number in range(8)]).map(lambda ids: ids[:6])


@given(RANKINGS, RANKINGS, st.integers(1, 12), st.randoms(use_true_random=False))
def test_each_team_picks_its_best_document_that_is_left(
    a: list[str], b: list[str], k: int, chance: random.Random
) -> None:
    drafted = team_draft(a, b, k, lambda: chance.random() < 0.5)
    ids = [id_ for id_, _ in drafted]
    assert len(ids) == len(set(ids)) == min(k, len({*a, *b}))
    for position, (id_, team) in enumerate(drafted):
        before = ids[:position]
        teams = Counter(each for _, each in drafted[:position])
        assert abs(teams[Team.A] - teams[Team.B]) <= 1
        if team is Team.NONE:
            assert not ({*a} - {*before} and {*b} - {*before})
        else:
            ranking = a if team is Team.A else b
            assert id_ == next(each for each in ranking if each not in before)


@given(RANKINGS, st.randoms(use_true_random=False))
def test_equal_rankings_stay_as_they_are(a: list[str], chance: random.Random) -> None:
    assert [id_ for id_, _ in team_draft(a, a, 6, lambda: chance.random() < 0.5)] == a


def clicks_of(relevant: set[str], a: list[str], b: list[str], searches: int) -> list[LogRecord]:
    """Return the log of users who click the relevant documents, and now and then another one."""
    chance = random.Random(1)
    records: list[LogRecord] = []
    for number in range(searches):
        drafted = team_draft(a, b, 5, lambda: chance.random() < 0.5)
        id_, teams = f"{number:016x}", "".join(team for _, team in drafted)
        hits = tuple(each for each, _ in drafted)
        records.append(LoggedSearch(id_, "", "q", "", "hybrid", 0, "normal", hits, "test", teams))
        for position, hit in enumerate(hits, 1):
            if chance.random() < (0.5 if hit in relevant else 0.1):
                records.append(LoggedClick(id_, "", hit, position))
    return records


def test_the_better_ranking_wins_and_equal_ones_do_not() -> None:
    good, bad = ["r1", "r2", "x", "y", "z"], ["x", "y", "z", "u", "v"]
    [found] = interleaved_outcomes(clicks_of({"r1", "r2"}, bad, good, 300))
    assert found.searches == 300
    assert found.wins_b > found.wins_a
    assert found.p < 0.001
    [equal] = interleaved_outcomes(clicks_of({"r1", "r2"}, good, good, 300))
    assert equal.p > 0.05
    assert equal.wins_a + equal.wins_b + equal.ties + equal.without_clicks == 300


def test_repeated_clicks_and_clicks_of_no_team_do_not_count() -> None:
    def search(number: int, teams: str) -> LoggedSearch:
        return LoggedSearch(f"{number}", "", "q", "", "hybrid", 0, "normal", (), "test", teams)

    def click(number: int, position: int) -> LoggedClick:
        return LoggedClick(f"{number}", "", "d", position)

    twice = [search(1, "AB"), click(1, 1), click(1, 1), click(1, 2)]
    none = [search(2, "AB-"), click(2, 3), click(2, 9)]
    [found] = interleaved_outcomes([*twice, *none, search(3, "AB"), click(3, 2)])
    assert (found.wins_a, found.wins_b, found.ties, found.without_clicks) == (0, 1, 1, 1)


@pytest.mark.parametrize(("wins", "p"), [((0, 0), 1.0), ((5, 5), 1.0), ((0, 5), 0.0625), ((8, 2), 0.109375)])
def test_sign_test(wins: tuple[int, int], p: float) -> None:
    assert sign_test_p(*wins) == pytest.approx(p)
