"""BM25 over postings: term scores, and the k best passages.

    score(q, p) = Σ over terms t of q:  n(t, q) · idf(t) · (k1 + 1) · f(t, p) / (f(t, p) + k1 · (1 - b + b · |p| / avg))
    idf(t) = ln(1 + (N - df(t) + ½) / (df(t) + ½))

N, df and avg, the average length, count live passages only (Robertson and Zaragoza 2009; idf as in Lucene).  They come
from `CollectionStatistics`, which may count more passages than the index has: a shard scores its passages with the
statistics of all shards.

Two scorers return the same bits.  `ExhaustiveScorer` adds up every posting once: it is the plain reference, and the
faster scorer of few postings.  `MaxScoreScorer` is MaxScore (Turtle and Flood 1995), term by term.  It adds up terms in
descending order of their greatest score, until the remaining terms cannot lift a passage without any earlier term into
the k best.  It looks up the remaining terms for the candidates only.  It is exact, too: it finds candidates in float32,
with a margin, and scores them in float64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.index.lexical.postings import LiveRows, LocatedRows, TermPostings
from retrieval.index.storage.settings import LexicalSettings
from retrieval.types import Bitmap, Ranking, Rows, Scores
from retrieval.util.arrays import find_sorted

_ROUNDING = 2e-7  # relative error of one float32 addition, rounded up
_BOUND_MARGIN = 1.0 + 1e-6  # the bounds of a term's scores are stored in float32
_EXHAUSTIVE_LIMIT = 1 << 17  # rows and postings: up to so many, scoring all is faster than finding candidates
_ROWS_PER_POSTING = 20  # a threshold reads every row: it pays off before a term with more than a posting per 20 rows


@dataclass(frozen=True, slots=True)
class CollectionStatistics:
    """Counts of live passages for BM25; add those of several indexes to score as one."""

    num_passages: int
    total_length: float  # of all passages in terms, the title weighted
    doc_freq: Mapping[str, int]  # number of passages that contain a term, for each term of the query

    @property
    def average_length(self) -> float:
        """The mean length of a passage in terms; 1.0 if no passage has a term."""
        return self.total_length / self.num_passages if self.total_length else 1.0

    def idf(self, term: str) -> float:
        """Return the inverse document frequency of a term of the query."""
        doc_freq = self.doc_freq[term]
        return float(np.log1p((self.num_passages - doc_freq + 0.5) / (doc_freq + 0.5)))

    def __add__(self, other: CollectionStatistics) -> CollectionStatistics:
        terms = dict.fromkeys((*self.doc_freq, *other.doc_freq))
        return CollectionStatistics(
            self.num_passages + other.num_passages,
            self.total_length + other.total_length,
            {term: self.doc_freq.get(term, 0) + other.doc_freq.get(term, 0) for term in terms},
        )


class LengthNorms:
    """The length normalization of each row: k1 · (1 - b + b · |p| / avg)."""

    def __init__(self, lengths: NDArray[np.float64], settings: LexicalSettings, average_length: float) -> None:
        self.average_length = average_length
        self.k1 = settings.k1
        self.b = settings.b_at(average_length)
        self.values = self.k1 * (1.0 - self.b + self.b * lengths / average_length)  # (rows,)
        self.values_float32 = self.values.astype(np.float32)

    def max_saturation(self, postings: TermPostings) -> float:
        """Return an upper bound of f / (f + norm) for a term in a segment."""
        bounds = postings.segment.postings.lexicon[postings.term]
        flat = self.k1 * (1.0 - self.b) / float(bounds["most"])
        return 1.0 / (1.0 + flat + self.k1 * self.b * float(bounds["sparsest"]) / self.average_length)


class TermScores:
    """The scores of one term of a query; `postings` has at least one segment."""

    def __init__(
        self, text: str, weight: float, rows: LiveRows, norms: LengthNorms, postings: Sequence[TermPostings]
    ) -> None:
        self.text = text
        self.weight = weight  # n(t, q) · idf(t) · (k1 + 1)
        self.max_score = weight * max(map(norms.max_saturation, postings)) * _BOUND_MARGIN  # of any passage
        self.num_postings = sum(len(part.passages) for part in postings)
        exhaustive = len(rows) + self.num_postings <= _EXHAUSTIVE_LIMIT
        self.max_cached_rows = self.num_postings if exhaustive else 0  # rows that `live_scores` may keep in memory
        self._rows = rows
        self._norms = norms
        self._postings = postings

    def allowed_scores(self, allowed: Bitmap | None) -> tuple[Rows, NDArray[np.float32]]:
        """Return the allowed rows that contain the term, and its float32 score for each."""
        found = [part.live_rows(allowed) for part in self._postings]
        rows = np.concatenate([rows for rows, _ in found]) if len(found) != 1 else found[0][0]
        frequencies = np.concatenate([values for _, values in found]) if len(found) != 1 else found[0][1]
        scores = frequencies.astype(np.float32)
        scores /= scores + self._norms.values_float32[rows]
        scores *= np.float32(self.weight)
        return rows, scores

    @cached_property
    def live_scores(self) -> tuple[Rows, NDArray[np.float64]]:
        """The live rows with the term and its scores; kept in memory, 16 bytes a row."""
        found = [part.live_rows(None) for part in self._postings]
        rows = np.concatenate([rows for rows, _ in found])
        return rows, self._score(rows, np.concatenate([frequencies for _, frequencies in found]))

    def score(self, rows: Rows) -> NDArray[np.float64]:
        """Return the score of the term for each of `rows`; 0 for a row without it."""
        return self.score_located(self._rows.locate(rows), len(rows))

    def score_located(self, located: Sequence[LocatedRows], count: int) -> NDArray[np.float64]:
        """Score `count` rows that `LiveRows.locate` assigned to their segments."""
        scores = np.zeros(count, np.float64)
        for part in self._postings:
            here = located[part.segment_number]
            entries, found = find_sorted(here.passages, part.passages)
            matching = found.nonzero()[0]
            scores[here.indices[matching]] = self._score(here.rows[matching], part.frequencies[entries[matching]])
        return scores

    def _score(self, rows: Rows, frequencies: NDArray[Any]) -> NDArray[np.float64]:
        frequency = frequencies.astype(np.float64)
        return self.weight * frequency / (frequency + self._norms.values[rows])


class Scorer(Protocol):
    """The sum of the scores of a query's terms."""

    def best(self, k: int, allowed: Bitmap | None) -> Ranking:
        """Return the k best allowed rows with a term: (score descending, row ascending)."""

    def score(self, rows: Rows) -> Scores:
        """Score `rows`; add terms in the query's order, so that equal passages tie."""


def make_scorer(terms: Sequence[TermScores], rows: LiveRows) -> Scorer:
    """Return the faster scorer for these terms, which are in the order of the query."""
    exhaustive = len(rows) + sum(term.num_postings for term in terms) <= _EXHAUSTIVE_LIMIT
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
