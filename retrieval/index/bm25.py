"""BM25 over postings: what each term adds to a passage, and the k best passages without scoring them all.

    score(q, p) = Σ over terms t of q:  n(t, q) · idf(t) · (k1 + 1) · f(t, p) / (f(t, p) + k1 · (1 - b + b · |p| / avg))
    idf(t) = ln(1 + (N - df(t) + ½) / (df(t) + ½))

with N, df and the average length over live passages alone (Robertson and Zaragoza 2009; idf as in Lucene).  `best`
is MaxScore (Turtle and Flood 1995) a term at a time: terms are added up in order of the most that each can give,
until those that are left cannot lift a passage that has none of the earlier ones into the best k; they are then looked
up for the candidates only.  The result is exact; candidates are found in float32 with a margin, scored in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.index.postings import Postings
from retrieval.types import Bitmap, Ranking, Rows

_ROUNDING = 2e-7  # relative error of one addition in single precision, and some more
_WORTHWHILE = 20  # a threshold costs a look at each row; it can spare a term with a posting for every 20th


@dataclass(frozen=True, slots=True)
class Part:
    """A segment within an open generation."""

    postings: Postings
    rows: Rows  # (passages,): the row of each passage; -1 for those that died
    first: int | None  # its first row, when all are alive and stand in a run

    @property
    def all_live(self) -> bool:
        return self.first is not None


@dataclass(frozen=True, slots=True)
class Collection:
    """What scoring knows of all rows."""

    live: int  # passages
    average: float  # length of them
    b: float  # for passages of this length
    norms: NDArray[np.float64]  # (rows,): k1 · (1 - b + b · |p| / avg)
    norms_single: NDArray[np.float32]
    part_of: NDArray[np.int32]  # (rows,): which part has the row; -1 for none
    place_of: NDArray[np.uint32]  # (rows,): and where in it


@dataclass(frozen=True, slots=True)
class PartOfTerm:
    """A term's postings in one part."""

    number: int  # of the part
    part: Part
    term: int
    members: NDArray[np.uint32]
    frequencies: NDArray[Any]


class TermScores:
    """One term of a query: what it adds to passages."""

    def __init__(
        self, text: str, weight: float, most: float, collection: Collection, parts: Sequence[PartOfTerm]
    ) -> None:
        self.text = text
        self.weight = weight  # n(t, q) · idf(t) · (k1 + 1)
        self.most = most  # no passage gets more than this
        self.size = sum(len(each.members) for each in parts)
        self._collection = collection
        self._parts = parts

    def everywhere(self, allowed: Bitmap | None) -> tuple[Rows, NDArray[np.float32]]:
        """The allowed rows that have the term, and what it adds to each, in single precision."""
        found = [_rows_of(each, allowed) for each in self._parts]
        rows = np.concatenate([each for each, _ in found]) if len(found) != 1 else found[0][0]
        frequencies = np.concatenate([each for _, each in found]) if len(found) != 1 else found[0][1]
        scores = frequencies.astype(np.float32)
        scores /= scores + self._collection.norms_single[rows]
        scores *= np.float32(self.weight)
        return rows, scores

    def at(self, rows: Rows) -> NDArray[np.float64]:
        """What the term adds to each of `rows`: 0 where it is not."""
        scores = np.zeros(len(rows), np.float64)
        part_of, place_of = self._collection.part_of[rows], self._collection.place_of[rows]
        for each in self._parts:
            here = np.flatnonzero(part_of == each.number)
            places = place_of[here]
            entry = np.minimum(np.searchsorted(each.members, places), len(each.members) - 1)
            there = each.members[entry] == places
            frequency = each.frequencies[entry[there]].astype(np.float64)
            scores[here[there]] = self.weight * frequency / (frequency + self._collection.norms[rows[here[there]]])
        return scores


def _rows_of(each: PartOfTerm, allowed: Bitmap | None) -> tuple[Rows, NDArray[Any]]:
    if each.part.first is None:
        rows = each.part.rows[each.members]
        kept = rows >= 0 if allowed is None else (rows >= 0) & allowed[rows]
    else:
        rows = each.members + np.int64(each.part.first)
        if allowed is None:
            return rows, each.frequencies
        kept = allowed[rows]
    return rows[kept], each.frequencies[kept]


def exact(terms: Sequence[TermScores], rows: Rows) -> NDArray[np.float64]:
    """The scores of `rows`; terms are added in the order of the query, so that equal passages score the same bits."""
    scores = np.zeros(len(rows), np.float64)
    for term in terms:
        scores += term.at(rows)
    return scores


def best(terms: Sequence[TermScores], k: int, rows: int, allowed: Bitmap | None) -> Ranking:
    """The k best of the allowed rows that have any of the terms, by (score descending, row ascending)."""
    candidates = _candidates(terms, k, rows, allowed)
    scores = exact(terms, candidates).astype(np.float32)
    order = np.lexsort((candidates, -scores))[:k]
    return Ranking(candidates[order], scores[order])


def _candidates(terms: Sequence[TermScores], k: int, rows: int, allowed: Bitmap | None) -> Rows:
    """Rows among which the k best are, ties included; ascending."""
    terms = sorted(terms, key=lambda term: -term.most)
    rest = np.append(np.cumsum([term.most for term in terms[::-1]])[::-1], 0.0)  # what the terms from i on can give
    sums = np.zeros(rows, np.float32)
    margin = 1.0 - _ROUNDING * (50 + len(terms))
    threshold, done = 0.0, 0
    for i, term in enumerate(terms):
        if i and term.size * _WORTHWHILE > rows:
            threshold = max(threshold, margin * _kth(sums[np.flatnonzero(sums > threshold)], k))
            if rest[i] < threshold:
                break
        found, scores = term.everywhere(allowed)
        sums[found] += scores
        done = i + 1
    candidates = np.flatnonzero(sums > max(0.0, threshold - rest[done]))
    totals = sums[candidates].astype(np.float64)
    threshold = max(threshold, margin * _kth(totals, k))
    for term, beyond in zip(terms[done:], rest[done + 1 :], strict=True):
        totals = totals + term.at(candidates)
        threshold = max(threshold, margin * _kth(totals, k))
        possible = totals + beyond >= threshold
        candidates, totals = candidates[possible], totals[possible]
    return candidates[totals >= threshold]


def _kth(scores: NDArray[Any], k: int) -> float:
    """The k-th greatest; 0 where there are fewer."""
    return float(np.partition(scores, len(scores) - k)[len(scores) - k]) if len(scores) >= k else 0.0
