"""Interleaved comparison of two rankings by the clicks of users.

Team-draft interleaving: Radlinski, Kurup and Joachims 2008, "How Does Clickthrough Data Reflect Retrieval Quality?"  In
each round the two teams pick their best document that is not picked yet; a coin decides which team begins.  A search is
won by the team whose documents get more clicks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from retrieval.metrics.query_log import LoggedClick, LoggedSearch, LogRecord


class Team(StrEnum):
    """The ranking that a document was picked for."""

    A = "A"
    B = "B"
    NONE = "-"  # the other ranking had no document left to pick


@dataclass(frozen=True, slots=True)
class InterleavedOutcome:
    """The searches of one comparison."""

    name: str
    searches: int
    wins_a: int
    wins_b: int
    ties: int  # with clicks for both teams alike
    p: float  # two-sided sign test over the searches that a team won

    @property
    def without_clicks(self) -> int:
        return self.searches - self.wins_a - self.wins_b - self.ties


def team_draft(a: Sequence[str], b: Sequence[str], k: int, coin: Callable[[], bool]) -> list[tuple[str, Team]]:
    """Return k documents of two rankings of ids, and the team of each.

    `coin` decides by chance whether A picks first in a round.
    """
    drafted: dict[str, Team] = {}
    sizes = Counter[Team]()
    while len(drafted) < k:
        next_a = next((id_ for id_ in a if id_ not in drafted), None)
        next_b = next((id_ for id_ in b if id_ not in drafted), None)
        if next_a is None or next_b is None:
            rest = [id_ for id_ in (*a, *b) if id_ not in drafted]
            drafted.update(dict.fromkeys(rest[: k - len(drafted)], Team.NONE))
            break
        is_a = sizes[Team.A] < sizes[Team.B] or (sizes[Team.A] == sizes[Team.B] and coin())
        team = Team.A if is_a else Team.B
        drafted[next_a if is_a else next_b] = team
        sizes[team] += 1
    return list(drafted.items())


def interleaved_outcomes(records: Iterable[LogRecord]) -> list[InterleavedOutcome]:
    """Return the outcome of each comparison in a log, by name."""
    searches: dict[str, LoggedSearch] = {}
    clicked: dict[str, set[int]] = {}  # positions, by search: a second click on a hit does not count
    for record in records:
        if isinstance(record, LoggedClick):
            clicked.setdefault(record.search_id, set()).add(record.position)
        elif record.comparison:
            searches[record.id] = record
    names = sorted({search.comparison for search in searches.values()})
    return [_outcome(name, [each for each in searches.values() if each.comparison == name], clicked) for name in names]


def _outcome(name: str, searches: Sequence[LoggedSearch], clicked: dict[str, set[int]]) -> InterleavedOutcome:
    wins = Counter[str]()
    for search in searches:
        positions = clicked.get(search.id, set())
        teams = Counter(search.teams[position - 1] for position in positions if position <= len(search.teams))
        difference = teams[Team.B] - teams[Team.A]
        if teams[Team.A] or teams[Team.B]:
            wins["tie" if not difference else Team.B if difference > 0 else Team.A] += 1
    return InterleavedOutcome(
        name, len(searches), wins[Team.A], wins[Team.B], wins["tie"], sign_test_p(wins[Team.A], wins[Team.B])
    )


def sign_test_p(wins_a: int, wins_b: int) -> float:
    """Return the two-sided p of so many wins if each had probability 1/2."""
    from scipy.stats import binomtest

    return float(binomtest(wins_a, wins_a + wins_b).pvalue) if wins_a + wins_b else 1.0
