"""BM25 over postings: what each term adds to a passage, and the k best passages without scoring them all.

    score(q, p) = Σ over terms t of q:  n(t, q) · idf(t) · (k1 + 1) · f(t, p) / (f(t, p) + k1 · (1 - b + b · |p| / avg))
    idf(t) = ln(1 + (N - df(t) + ½) / (df(t) + ½))

with N, df and the average length over live passages alone (Robertson and Zaragoza 2009; idf as in Lucene).

Two scorers give the same bits.  `AllRows` adds every posting up, once: the plain way, and the faster one where postings
are few.  `Pruned` is MaxScore (Turtle and Flood 1995) a term at a time: terms are added up in order of the most that
each can give, until those that are left cannot lift a passage that has none of the earlier ones into the best k; they
are then looked up for the candidates only.  It is exact too; candidates are found in float32 with a margin, and scored
in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.index.lexical.postings import Postings
from retrieval.index.vectors.topk import best
from retrieval.types import Bitmap, Ranking, Rows, Scores
from retrieval.util.arrays import find_sorted

_ROUNDING = 2e-7  # relative error of one addition in single precision, and some more
_FEW = 1 << 17  # rows and postings that are looked at faster than it is found out which of them count
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

    parts: int
    live: int  # passages
    average: float  # length of them
    b: float  # for passages of this length
    norms: NDArray[np.float64]  # (rows,): k1 · (1 - b + b · |p| / avg)
    norms_single: NDArray[np.float32]
    part_of: NDArray[np.int32]  # (rows,): which part has the row; -1 for none
    place_of: NDArray[np.uint32]  # (rows,): and where in it


@dataclass(frozen=True, slots=True)
class RowsOfPart:
    """Rows that one part has, of those that are asked about."""

    asked: NDArray[np.int64]  # their places among these
    rows: Rows
    members: NDArray[np.uint32]  # their places in the part


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
        self.kept = self.size if len(collection.norms) + self.size <= _FEW else 0  # rows that `given` may come to hold
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

    @cached_property
    def given(self) -> tuple[Rows, NDArray[np.float64]]:
        """The live rows that have the term, and what it adds to each; kept with the term, 16 bytes a row."""
        found = [_rows_of(each, None) for each in self._parts]
        rows = np.concatenate([each for each, _ in found])
        return rows, self._given(rows, np.concatenate([each for _, each in found]))

    def at(self, rows: Rows) -> NDArray[np.float64]:
        """What the term adds to each of `rows`: 0 where it is not."""
        return self.among(by_part(rows, self._collection), len(rows))

    def among(self, parts: Sequence[RowsOfPart], count: int) -> NDArray[np.float64]:
        """The same for `count` rows that were sorted out before."""
        scores = np.zeros(count, np.float64)
        for each in self._parts:
            here = parts[each.number]
            entry, found = find_sorted(here.members, each.members)
            there = found.nonzero()[0]
            scores[here.asked[there]] = self._given(here.rows[there], each.frequencies[entry[there]])
        return scores

    def _given(self, rows: Rows, frequencies: NDArray[Any]) -> NDArray[np.float64]:
        frequency = frequencies.astype(np.float64)
        return self.weight * frequency / (frequency + self._collection.norms[rows])


def by_part(rows: Rows, collection: Collection) -> list[RowsOfPart]:
    """Rows sorted out by the part that has them."""
    part_of, place_of = collection.part_of[rows], collection.place_of[rows]
    asked = [np.flatnonzero(part_of == number) for number in range(collection.parts)]
    return [RowsOfPart(each, rows[each], place_of[each]) for each in asked]


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


class Scorer(Protocol):
    """The terms of a query at work."""

    def best(self, k: int, allowed: Bitmap | None) -> Ranking:
        """The k best of the allowed rows that have any of the terms, by (score descending, row ascending)."""
        ...

    def score(self, rows: Rows) -> Scores:
        """The scores of `rows`; terms are added in the order of the query, so that equal passages score the same."""
        ...


def scorer(terms: Sequence[TermScores], collection: Collection) -> Scorer:
    """The faster one for these terms."""
    few = len(collection.norms) + sum(term.size for term in terms) <= _FEW
    return AllRows(terms, collection) if few else Pruned(terms, collection)


class AllRows:
    """Scores every row, once."""

    def __init__(self, terms: Sequence[TermScores], collection: Collection) -> None:
        given = [term.given for term in terms]
        rows = np.concatenate([np.empty(0, np.int64), *(each for each, _ in given)])
        scores = np.concatenate([np.empty(0, np.float64), *(each for _, each in given)])
        self._scores = np.bincount(rows, scores, len(collection.norms)).astype(np.float32)

    def best(self, k: int, allowed: Bitmap | None) -> Ranking:
        matching = self._scores > 0
        rows = np.flatnonzero(matching if allowed is None else matching & allowed)
        return best(rows, self._scores[rows], k)

    def score(self, rows: Rows) -> Scores:
        scores: Scores = self._scores[rows]
        return scores


class Pruned:
    """Scores the rows that it is asked about, and those that may be among the best."""

    def __init__(self, terms: Sequence[TermScores], collection: Collection) -> None:
        self._terms = terms
        self._collection = collection

    def best(self, k: int, allowed: Bitmap | None) -> Ranking:
        candidates = _candidates(self._terms, k, len(self._collection.norms), allowed)
        return best(candidates, self.score(candidates), k)

    def score(self, rows: Rows) -> Scores:
        scores = np.zeros(len(rows), np.float64)
        parts = by_part(rows, self._collection)
        for term in self._terms:
            scores += term.among(parts, len(rows))
        return scores.astype(np.float32)


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
