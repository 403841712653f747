"""Runs (rankings per query) and qrels (relevance judgments).

The order of a ranking is the order that the measures use.  If the order must be derived from scores (in a run file),
it is trec_eval's: scores compared as 32-bit floats, descending; ties by document id, descending.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import BadJudgments


@dataclass(frozen=True, slots=True)
class RankedDocuments:
    """The ranking of one query, best first."""

    ids: tuple[str, ...]  # distinct
    scores: NDArray[np.float64]  # (n,), finite

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class RetrievalRun:
    """The rankings of one system, by query."""

    name: str  # the tag in a run file; it has no spaces
    rankings: Mapping[str, RankedDocuments]


@dataclass(frozen=True, slots=True)
class SubtopicJudgment:
    """A judgment for one aspect of a query, from the `iter` field of diversity qrels."""

    query: str
    document: str
    aspect: str
    relevance: int


@dataclass(frozen=True, slots=True)
class Qrels:
    """Judgments: query → document → relevance.

    0 means judged and not relevant; a negative value means not judged, as in trec_eval.  If a document is judged for
    several aspects, `judgments` has its highest relevance and `subtopics` has all of them.  `repeated` counts the lines
    that repeat an earlier line.
    """

    name: str
    judgments: Mapping[str, Mapping[str, int]]
    subtopics: tuple[SubtopicJudgment, ...] = ()
    repeated: int = 0

    def judged(self, query: str) -> dict[str, int]:
        """Return the relevance of the judged documents of a query."""
        return {document: value for document, value in self.judgments.get(query, {}).items() if value >= 0}

    def relevant(self, query: str) -> int:
        return sum(relevance > 0 for relevance in self.judgments.get(query, {}).values())


@dataclass(frozen=True, slots=True)
class Topic:
    """A query of an evaluation; `attributes` are the other fields of its record."""

    id: str
    text: str
    attributes: Mapping[str, str] = field(default_factory=dict)


def make_ranking(ids: Sequence[str], scores: Iterable[float], *, where: str = "ranking") -> RankedDocuments:
    """Make a ranking in the order given.

    Raises BadJudgments for a repeated document or a score that is not finite; the message starts with `where`.
    """
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
    """Make a ranking in trec_eval's order.  Raises as `make_ranking` does."""
    given = make_ranking(ids, scores, where=where)
    if decreases_strictly(given.scores):
        return given
    order = sorted(range(len(ids)), key=ids.__getitem__, reverse=True)
    order.sort(key=_as_float32(given.scores).tolist().__getitem__, reverse=True)
    return RankedDocuments(tuple(map(ids.__getitem__, order)), given.scores[order])


def decreases_strictly(scores: NDArray[np.float64]) -> bool:
    """Check whether the scores decrease as 32-bit floats, so that readers see no ties."""
    compared = _as_float32(scores)
    return bool((compared[1:] < compared[:-1]).all())


def strictly_decreasing(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return scores that keep their order when a reader sorts them as 32-bit floats.

    Scores are lowered by the smallest steps needed.  If they would leave the range of 32-bit floats, each score becomes
    the rank counted from the end.
    """
    if decreases_strictly(scores):
        return scores
    lowered = _as_float32(scores)
    previous = np.float32(math.inf)
    with np.errstate(over="ignore"):
        for rank, value in enumerate(lowered):
            previous = min(value, np.nextafter(previous, np.float32(-math.inf)))
            lowered[rank] = previous
    if lowered[-1] == -math.inf:
        return np.arange(len(scores), 0, -1, dtype=np.float64)
    return lowered.astype(np.float64)


def make_run(name: str, results: Mapping[str, Mapping[str, float]]) -> RetrievalRun:
    """Make a run from query → document → score, in trec_eval's order."""
    rankings = {
        query: ranking_by_score([*documents], [*documents.values()], where=f"query {query!r}")
        for query, documents in results.items()
    }
    return RetrievalRun(name, rankings)


def without_identical(run: RetrievalRun) -> RetrievalRun:
    """Remove the hits whose document id is the query's id, as BEIR does."""
    return RetrievalRun(run.name, {query: _without(ranking, query) for query, ranking in run.rankings.items()})


def _without(ranking: RankedDocuments, document: str) -> RankedDocuments:
    if document not in ranking.ids:
        return ranking
    index = ranking.ids.index(document)
    return RankedDocuments(ranking.ids[:index] + ranking.ids[index + 1 :], np.delete(ranking.scores, index))


def _as_float32(scores: NDArray[np.float64]) -> NDArray[np.float32]:
    largest = np.finfo(np.float32).max
    return np.clip(scores, -largest, largest).astype(np.float32)


def _first_repeated(ids: Sequence[str]) -> str:
    seen: set[str] = set()
    return next(id_ for id_ in ids if id_ in seen or seen.add(id_))  # type: ignore[func-returns-value]


def query_id(query: str) -> str:
    """Return a TREC id that depends on the query text alone."""
    return "q" + hashlib.sha256(query.encode("utf-8", "surrogatepass")).hexdigest()[:12]
