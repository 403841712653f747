"""Runs and judgments: what was ranked, and what a person said of it.

A ranking has one order, the order that is measured.  Where an order must be derived from scores (a run file), it is
trec_eval's: scores compared as 32-bit floats, descending, and ties broken by document id, descending.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import BadJudgments


@dataclass(frozen=True, slots=True)
class RankedDocuments:
    """Documents of one query, best first.  `ids` are distinct; `scores` are (n,) float64, finite."""

    ids: tuple[str, ...]
    scores: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class RetrievalRun:
    """One system's answers: a ranking for each query.  `name` is the tag of a run file; it has no spaces."""

    name: str
    rankings: Mapping[str, RankedDocuments]


@dataclass(frozen=True, slots=True)
class SubtopicJudgment:
    """A judgment for one aspect of a query, as the `iter` field of diversity qrels gives it."""

    query: str
    document: str
    aspect: str
    relevance: int


@dataclass(frozen=True, slots=True)
class Qrels:
    """Judgments: query → document → relevance; 0 is "judged, not relevant", negative counts as not relevant.

    A document judged for several aspects has its highest relevance in `judgments` and each of them in `subtopics`.
    `repeated` counts lines that said again what another line had said.
    """

    name: str
    judgments: Mapping[str, Mapping[str, int]]
    subtopics: tuple[SubtopicJudgment, ...] = ()
    repeated: int = 0

    def relevant(self, query: str) -> int:
        """How many documents are relevant to the query."""
        return sum(relevance > 0 for relevance in self.judgments.get(query, {}).values())


@dataclass(frozen=True, slots=True)
class Topic:
    """A query of an evaluation; `attributes` are the further fields of its record, by which results are sliced."""

    id: str
    text: str
    attributes: Mapping[str, str] = field(default_factory=dict)


def make_ranking(ids: Sequence[str], scores: Iterable[float], *, where: str = "ranking") -> RankedDocuments:
    """A ranking in the order given.  BadJudgments for a repeated document or a score that is not finite."""
    values = np.fromiter(scores, dtype=np.float64, count=len(ids))
    if not np.isfinite(values).all():
        bad = int(np.flatnonzero(~np.isfinite(values))[0])
        raise BadJudgments(f"{where}: score of document {ids[bad]!r} is {values[bad]}; scores must be finite")
    if len(set(ids)) < len(ids):
        raise BadJudgments(
            f"{where}: document {_first_repeated(ids)!r} is ranked more than once; keep its best rank only"
        )
    return RankedDocuments(tuple(ids), values)


def ranking_by_score(ids: Sequence[str], scores: Sequence[float], *, where: str = "ranking") -> RankedDocuments:
    """A ranking ordered as trec_eval orders it; raises as `ranked` does."""
    given = make_ranking(ids, scores, where=where)
    if decreases_strictly(given.scores):
        return given
    order = sorted(range(len(ids)), key=ids.__getitem__, reverse=True)
    order.sort(key=_as_float32(given.scores).tolist().__getitem__, reverse=True)
    return RankedDocuments(tuple(map(ids.__getitem__, order)), given.scores[order])


def decreases_strictly(scores: NDArray[np.float64]) -> bool:
    """Whether scores survive a reader that sorts them as 32-bit floats."""
    compared = _as_float32(scores)
    return bool((compared[1:] < compared[:-1]).all())


def strictly_decreasing(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores that tell the same order to a reader that sorts 32-bit floats: lowered by the least steps needed.

    Where they would fall out of the range of such floats, they become the places counted from below.
    """
    if decreases_strictly(scores):
        return scores
    lowered = _as_float32(scores)
    previous = np.float32(math.inf)
    with np.errstate(over="ignore"):
        for place, value in enumerate(lowered):
            previous = min(value, np.nextafter(previous, np.float32(-math.inf)))
            lowered[place] = previous
    if lowered[-1] == -math.inf:
        return np.arange(len(scores), 0, -1, dtype=np.float64)
    return lowered.astype(np.float64)


def make_run(name: str, results: Mapping[str, Mapping[str, float]]) -> RetrievalRun:
    """A run from query → document → score, ordered as trec_eval orders it."""
    rankings = {
        query: ranking_by_score([*documents], [*documents.values()], where=f"query {query!r}")
        for query, documents in results.items()
    }
    return RetrievalRun(name, rankings)


def without_identical(run: RetrievalRun) -> RetrievalRun:
    """The run without hits whose document id is the query's own id, as BEIR scores collections that ask themselves."""
    return RetrievalRun(run.name, {query: _without(ranking, query) for query, ranking in run.rankings.items()})


def _without(ranking: RankedDocuments, document: str) -> RankedDocuments:
    if document not in ranking.ids:
        return ranking
    place = ranking.ids.index(document)
    return RankedDocuments(ranking.ids[:place] + ranking.ids[place + 1 :], np.delete(ranking.scores, place))


def _as_float32(scores: NDArray[np.float64]) -> NDArray[np.float32]:
    largest = np.finfo(np.float32).max
    return np.clip(scores, -largest, largest).astype(np.float32)


def _first_repeated(ids: Sequence[str]) -> str:
    seen: set[str] = set()
    return next(each for each in ids if each in seen or seen.add(each))  # type: ignore[func-returns-value]
