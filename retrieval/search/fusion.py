"""Fusion: one ranking of passages from one or several retrievers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.protocols import Retriever
from retrieval.types import Bitmap, Mode, Ranking, Rows, Scores

Values = NDArray[np.float64]

LISTED = 1000  # rows of each list in rank fusion; the same for every page, so that ranks are the same too
_DENSE, _SPARSE = Mode.DENSE.value, Mode.SPARSE.value
_MIN_BREADTH = 50  # candidates of each retriever in the first round of score fusion


@dataclass(frozen=True, slots=True)
class RowScores:
    """Scores of some rows, (n,) each; `score` orders the rows."""

    score: Scores
    parts: Mapping[str, Scores]  # of each retriever, by its name
    fused: Scores | None = None  # None for one retriever
    matching: Bitmap | None = None  # whether each row matches; None when all do


class PassageRanker(Protocol):
    """Ranks passages for one query, by one retriever or by the fusion of several."""

    allowed: Bitmap | None  # (rows,): rows that filter, phrases and exclusions leave; None for all live ones
    score_ranges: Mapping[str, tuple[float, float]]  # of each retriever whose scores are fused, by its name

    def rank(self, k: int) -> Ranking:
        """Return the k best matching rows by (score descending, row ascending)."""
        ...

    def score(self, rows: Rows) -> RowScores: ...

    def matches(self) -> Bitmap:
        """Return the rows that `rank` returns for an unlimited k, (rows,)."""
        ...


class SingleRanker:
    """Ranks by one retriever, without fusion."""

    def __init__(self, retriever: Retriever, allowed: Bitmap | None) -> None:
        self.allowed = allowed
        self.score_ranges: Mapping[str, tuple[float, float]] = {}
        self._retriever = retriever

    def rank(self, k: int) -> Ranking:
        return self._retriever.rank(k)

    def score(self, rows: Rows) -> RowScores:
        scores = self._retriever.score(rows)
        parts = {self._retriever.name: scores}
        return RowScores(scores, parts, matching=_matching([self._retriever], parts))

    def matches(self) -> Bitmap:
        return self._retriever.matches()


class UnrankedRows:
    """All allowed rows, in their order; each has the same score."""

    def __init__(self, allowed: Bitmap, score: float) -> None:
        self.allowed: Bitmap | None = allowed
        self.score_ranges: Mapping[str, tuple[float, float]] = {}
        self._allowed = allowed
        self._score = score

    def rank(self, k: int) -> Ranking:
        rows = np.flatnonzero(self._allowed)[:k]
        return Ranking(rows, self.score(rows).score)

    def score(self, rows: Rows) -> RowScores:
        return RowScores(np.full(len(rows), self._score, np.float32), {})

    def matches(self) -> Bitmap:
        return self._allowed


class ConvexFusion:
    """Fuses scores: `Σ share · (score − low) / (high − low)` over the retrievers.

    `low` and `high` are the retriever's `score_range`: for BM25, 0 and the greatest score among the allowed rows, as in
    the normalisation of Bruch et al. 2023, "An Analysis of Fusion Functions for Hybrid Retrieval"; for a cosine, the
    mean of unrelated cosines and 6 of their deviations above it, because each encoder has cosines of its own range.
    A fused score depends on the passage's own scores, never on the list that holds it.

    The first k rows are those of a comparison of all rows, as far as the vector index is exact: the ranker takes more
    and more candidates until no other row can reach the first k (threshold algorithm, Fagin, Lotem and Naor 2001).
    A retriever with a share of 0 neither adds candidates nor matches.
    """

    def __init__(self, retrievers: Sequence[Retriever], shares: Sequence[float], allowed: Bitmap) -> None:
        self.allowed: Bitmap | None = allowed
        self._num_allowed = int(np.count_nonzero(allowed))
        self._retrievers = retrievers
        self._active = _active(retrievers, shares)
        self._shares = [share for share in shares if share > 0.0]
        self.score_ranges: Mapping[str, tuple[float, float]] = {each.name: each.score_range for each in self._active}

    def rank(self, k: int) -> Ranking:
        if len(self._active) == 1:
            rows = self._active[0].rank(k).rows
            return Ranking.top(rows, self._fused([self._active[0].score(rows)]), k)
        breadth = max(_MIN_BREADTH, 2 * k)
        while True:
            counts = [max(each.min_candidates, breadth) for each in self._active]
            found = [each.rank(count) for each, count in zip(self._active, counts, strict=True)]
            rows = union([each.rows for each in found])
            ranking = Ranking.top(rows, self._fused([each.score(rows) for each in self._active]), k)
            if len(rows) >= self._num_allowed:
                return ranking
            if len(ranking.rows) == k and ranking.scores[-1] > self._bound(counts):
                return ranking
            if all(len(each.rows) < count for each, count in zip(found, counts, strict=True)):
                return ranking
            breadth *= 4

    def score(self, rows: Rows) -> RowScores:
        parts = {each.name: each.score(rows) for each in self._retrievers}
        fused = self._fused([parts[each.name] for each in self._active])
        return RowScores(fused, parts, fused, _matching(self._active, parts))

    def matches(self) -> Bitmap:
        return _matches(self._active)

    def _fused(self, scores: Sequence[Scores]) -> Scores:
        values = [each.astype(np.float64) for each in scores]
        return convex_sum(values, self._shares, list(self.score_ranges.values())).astype(np.float32)

    def _bound(self, counts: Sequence[int]) -> float:
        """Return the highest fused score of a row outside rankings of these lengths."""
        bounds = [np.array([each.upper_bound(count)]) for each, count in zip(self._active, counts, strict=True)]
        return float(convex_sum(bounds, self._shares, list(self.score_ranges.values()))[0])


class ReciprocalRankFusion:
    """Fuses ranks: `Σ n · share / (rrf_k + rank)` over the n retrievers.

    For equal shares this is reciprocal rank fusion (Cormack, Clarke and Büttcher 2009).

    Each retriever gives a list of at most LISTED rows; a row gets nothing from a list that does not hold it.  Rows in
    no list follow with scores of at most 0: the normalised score of the first retriever with a share, less 1.  A row's
    score therefore depends on the query and the allowed rows alone, not on the number of hits.
    A retriever with a share of 0 has no list and does not match.
    """

    def __init__(
        self, retrievers: Sequence[Retriever], shares: Sequence[float], allowed: Bitmap, *, rrf_k: int
    ) -> None:
        self.allowed: Bitmap | None = allowed
        self.score_ranges: Mapping[str, tuple[float, float]] = {}
        self._retrievers = retrievers
        self._active = _active(retrievers, shares)
        self._listed_scores = np.zeros(len(allowed), np.float32)  # 0 for rows in no list
        lists = [each.rank(LISTED) for each in self._active]
        for share, ranking in zip([share for share in shares if share > 0.0], lists, strict=True):
            self._listed_scores[ranking.rows] += len(retrievers) * share * reciprocal_ranks(ranking.scores, rrf_k)
        self._listed = union([each.rows for each in lists])
        self._first = self._active[0]
        self._max_score = self._first.upper_bound(0) or 1.0

    def rank(self, k: int) -> Ranking:
        rows = self._listed
        if len(rows) < k:
            more = self._first.rank(k, exact=True).rows
            rows = union([rows, more if len(more) == k else np.flatnonzero(self.matches())])
        return Ranking.top(rows, self._fused(rows, self._first.score(rows)), k)

    def score(self, rows: Rows) -> RowScores:
        parts = {each.name: each.score(rows) for each in self._retrievers}
        fused = self._fused(rows, parts[self._first.name])
        return RowScores(fused, parts, fused, _matching(self._active, parts))

    def matches(self) -> Bitmap:
        return _matches(self._active)

    def _fused(self, rows: Rows, first: Scores) -> Scores:
        listed = self._listed_scores[rows]
        return np.where(listed > 0.0, listed, np.minimum(first / self._max_score - 1.0, 0.0)).astype(np.float32)


def convex_sum(scores: Sequence[Values], shares: Sequence[float], ranges: Sequence[tuple[float, float]]) -> Values:
    """Return `Σ share · (score − low) / (high − low)`, (n,); skip an empty range."""
    total: Values | None = None
    for values, share, (low, high) in zip(scores, shares, ranges, strict=True):
        if high > low:
            shifted = values - low if low else values
            term = share * (shifted if high - low == 1.0 else shifted / (high - low))
            total = term if total is None else total + term
    return np.zeros(len(scores[0])) if total is None else total


def reciprocal_ranks(scores: Scores, k: int) -> Values:
    """Return `1 / (k + rank)` of descending scores; equal scores share a rank."""
    ranks = 1 + np.searchsorted(-scores, -scores, side="left")
    return 1.0 / (k + ranks)


def union(lists: Sequence[Rows]) -> Rows:
    """Return the rows of all lists, ascending, each once.

    For so few rows, sorting takes a seventh of the time of numpy's own union.
    """
    rows = np.sort(np.concatenate(lists))
    first = np.ones(len(rows), np.bool_)
    np.not_equal(rows[1:], rows[:-1], out=first[1:])
    return rows[first]


def shares_of(weight: float, retrievers: Sequence[Retriever], sparse_weight: float | None = None) -> list[float]:
    """Return each retriever's share: `weight` for dense, equal parts of the rest.

    With `sparse_weight`, the sparse retriever has that part of the rest, and the others have equal parts of what is
    left.
    """
    rest = 1.0 - weight
    names = [each.name for each in retrievers]
    shares = {_DENSE: weight}
    others = [name for name in names if name not in (_DENSE, _SPARSE)]
    if sparse_weight is not None and _SPARSE in names and others:
        shares[_SPARSE] = rest * sparse_weight
        rest -= shares[_SPARSE]
    equal = rest / max(1, len([name for name in names if name not in shares]))
    return [shares.get(name, equal) for name in names]


def _active(retrievers: Sequence[Retriever], shares: Sequence[float]) -> list[Retriever]:
    return [each for each, share in zip(retrievers, shares, strict=True) if share > 0.0]


def _matches(retrievers: Sequence[Retriever]) -> Bitmap:
    everything = next((each for each in retrievers if each.matches_all), None)
    return everything.matches() if everything else np.logical_or.reduce([each.matches() for each in retrievers])


def _matching(retrievers: Sequence[Retriever], parts: Mapping[str, Scores]) -> Bitmap | None:
    """Return which scored rows any of the retrievers matches; None for all rows."""
    if any(each.matches_all for each in retrievers):
        return None
    matching: Bitmap = np.logical_or.reduce([parts[each.name] > 0 for each in retrievers])
    return matching
