"""Sum the scores of a query's terms, and find the k best passages.

Two scorers return the same bits.  `ExhaustiveScorer` adds up every posting once: it is the plain reference, and the
faster scorer of few postings.  `MaxScoreScorer` is MaxScore (Turtle and Flood 1995), term by term.  It adds up terms in
descending order of their greatest score, until the remaining terms cannot lift a passage without any earlier term into
the k best.  It looks up the remaining terms for the candidates only.  It is exact, too: it finds candidates in float32,
with a margin, and scores them in float64.

`PostingsQuery` ranks and scores with them, for BM25 and for learned sparse weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.index.lexical.postings import LiveRows
from retrieval.index.lexical.term_scores import TermScores, scores_all
from retrieval.types import Bitmap, Ranking, Rows, Scores

_ROUNDING = 2e-7  # relative error of one float32 addition, rounded up
_ROWS_PER_POSTING = 20  # a threshold reads every row: it pays off before a term with more than a posting per 20 rows


class Scorer(Protocol):
    """The sum of the scores of a query's terms."""

    def best(self, k: int, allowed: Bitmap | None) -> Ranking:
        """Return the k best allowed rows with a term: (score descending, row ascending)."""

    def score(self, rows: Rows) -> Scores:
        """Score `rows`; add terms in the query's order, so that equal passages tie."""


def make_scorer(terms: Sequence[TermScores], rows: LiveRows) -> Scorer:
    """Return the faster scorer for these terms, which are in the order of the query."""
    exhaustive = scores_all(len(rows), sum(term.num_postings for term in terms))
    return ExhaustiveScorer(terms, rows) if exhaustive else MaxScoreScorer(terms, rows)


class ExhaustiveScorer:
    """Scores every row once."""

    def __init__(self, terms: Sequence[TermScores], live_rows: LiveRows) -> None:
        found = [term.live_scores for term in terms]
        rows = np.concatenate([np.empty(0, np.int64), *(rows for rows, _ in found)])
        scores = np.concatenate([np.empty(0, np.float64), *(scores for _, scores in found)])
        self._scores = np.bincount(rows, scores, len(live_rows)).astype(np.float32)

    def best(self, k: int, allowed: Bitmap | None) -> Ranking:
        matching = self._scores > 0
        rows = np.flatnonzero(matching if allowed is None else matching & allowed)
        return Ranking.top(rows, self._scores[rows], k)

    def score(self, rows: Rows) -> Scores:
        return self._scores[rows]


class MaxScoreScorer:
    """Scores requested rows, and rows that may be among the best."""

    def __init__(self, terms: Sequence[TermScores], live_rows: LiveRows) -> None:
        self._terms = terms
        self._rows = live_rows

    def best(self, k: int, allowed: Bitmap | None) -> Ranking:
        candidates = _candidates(self._terms, k, len(self._rows), allowed)
        return Ranking.top(candidates, self.score(candidates), k)

    def score(self, rows: Rows) -> Scores:
        scores = np.zeros(len(rows), np.float64)
        located = self._rows.locate(rows)
        for term in self._terms:
            scores += term.score_located(located, len(rows))
        return scores.astype(np.float32)


def _candidates(terms: Sequence[TermScores], k: int, num_rows: int, allowed: Bitmap | None) -> Rows:
    """Return rows that include the k best and all rows with equal scores, ascending."""
    terms = sorted(terms, key=lambda term: -term.max_score)
    remaining = np.append(np.cumsum([term.max_score for term in terms[::-1]])[::-1], 0.0)  # of the terms from i on
    sums = np.zeros(num_rows, np.float32)
    margin = 1.0 - _ROUNDING * (50 + len(terms))
    threshold, done = 0.0, 0
    for i, term in enumerate(terms):
        if i and term.num_postings * _ROWS_PER_POSTING > num_rows:
            threshold = max(threshold, margin * _kth(sums[np.flatnonzero(sums > threshold)], k))
            if remaining[i] < threshold:
                break
        rows, scores = term.allowed_scores(allowed)
        sums[rows] += scores
        done = i + 1
    candidates = np.flatnonzero(sums > max(0.0, threshold - remaining[done]))
    totals = sums[candidates].astype(np.float64)
    threshold = max(threshold, margin * _kth(totals, k))
    for term, beyond in zip(terms[done:], remaining[done + 1 :], strict=True):
        totals = totals + term.score(candidates)
        threshold = max(threshold, margin * _kth(totals, k))
        possible = totals + beyond >= threshold
        candidates, totals = candidates[possible], totals[possible]
    return candidates[totals >= threshold]


def _kth(scores: NDArray[Any], k: int) -> float:
    """Return the k-th greatest score; 0 if there are fewer."""
    return float(np.partition(scores, len(scores) - k)[len(scores) - k]) if len(scores) >= k else 0.0


class PostingsQuery:
    """The terms of a query on an open generation; caches results, so not thread-safe.

    `rank` and `matches` read the allowed rows; `score` reads any row.
    """

    def __init__(self, terms: Sequence[TermScores], live_rows: LiveRows, allowed: Bitmap | None) -> None:
        self.allowed = allowed  # rows that the filter, phrases and exclusions leave; None: all live rows
        self.terms = terms
        self.live_rows = live_rows
        self._ranked_k = 0
        self._ranking = Ranking.empty()

    def rank(self, k: int) -> Ranking:
        """Return the k best allowed rows by (score descending, row ascending)."""
        if k > self._ranked_k:
            self._ranked_k, self._ranking = k, self._scorer.best(k, self.allowed)
        return Ranking(self._ranking.rows[:k], self._ranking.scores[:k])

    def score(self, rows: Rows) -> Scores:
        """Return the score of each of `rows`; 0.0 for a row without any term."""
        return self._scorer.score(np.asarray(rows, np.int64))

    def matches(self) -> Bitmap:
        """Return the rows that `rank` returns for an unlimited k: (rows,)."""
        found = np.zeros(len(self.live_rows), np.bool_)
        for term in self.terms:
            rows, _ = term.allowed_scores(self.allowed)
            found[rows] = True
        return found

    def upper_bound(self, k: int) -> float:
        """Return an upper bound of the scores of allowed rows outside `rank(k)`."""
        last = max(k, 1) - 1
        scores = self.rank(last + 1).scores
        return float(scores[last]) if len(scores) > last else 0.0

    @cached_property
    def _scorer(self) -> Scorer:
        return make_scorer(self.terms, self.live_rows)
