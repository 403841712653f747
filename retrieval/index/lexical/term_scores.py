"""The scores of one term of a query in the passages that contain it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.index.lexical.postings import LiveRows, LocatedRows, TermPostings
from retrieval.types import Bitmap, Rows
from retrieval.util.arrays import find_sorted

_EXHAUSTIVE_LIMIT = 1 << 17  # rows and postings: up to so many, scoring all is faster than finding candidates
_BOUND_MARGIN = 1.0 + 1e-6  # the bounds of a term's scores are stored in float32


def scores_all(num_rows: int, num_postings: int) -> bool:
    """Check whether scoring all rows is faster than finding candidates."""
    return num_rows + num_postings <= _EXHAUSTIVE_LIMIT


class TermWeighting(Protocol):
    """The score of a term in a passage, by the frequency in its posting."""

    weight: float  # of the term in the query, a factor of each score

    def max_score(self, postings: TermPostings) -> float:
        """Return an upper bound of the scores of the term in a segment."""

    def score(self, rows: Rows, frequencies: NDArray[Any]) -> NDArray[np.float64]:
        """Return the score of each of `rows`, in which the term has these frequencies."""

    def score_float32(self, rows: Rows, frequencies: NDArray[Any]) -> NDArray[np.float32]:
        """Return the scores in less time, rounded."""


class TermScores:
    """The scores of one term of a query; `postings` has at least one segment."""

    def __init__(self, text: str, weighting: TermWeighting, rows: LiveRows, postings: Sequence[TermPostings]) -> None:
        self.text = text
        self.weight = weighting.weight
        self.max_score = max(map(weighting.max_score, postings)) * _BOUND_MARGIN  # of any passage
        self.num_postings = sum(len(part.passages) for part in postings)
        exhaustive = scores_all(len(rows), self.num_postings)
        self.max_cached_rows = self.num_postings if exhaustive else 0  # rows that `live_scores` may keep in memory
        self._rows = rows
        self._weighting = weighting
        self._postings = postings

    def allowed_scores(self, allowed: Bitmap | None) -> tuple[Rows, NDArray[np.float32]]:
        """Return the allowed rows that contain the term, and its float32 score for each."""
        found = [part.live_rows(allowed) for part in self._postings]
        rows = np.concatenate([rows for rows, _ in found]) if len(found) != 1 else found[0][0]
        frequencies = np.concatenate([values for _, values in found]) if len(found) != 1 else found[0][1]
        return rows, self._weighting.score_float32(rows, frequencies)

    @cached_property
    def live_scores(self) -> tuple[Rows, NDArray[np.float64]]:
        """The live rows with the term and its scores; kept in memory, 16 bytes a row."""
        found = [part.live_rows(None) for part in self._postings]
        rows = np.concatenate([rows for rows, _ in found])
        return rows, self._weighting.score(rows, np.concatenate([frequencies for _, frequencies in found]))

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
            frequencies = part.frequencies[entries[matching]]
            scores[here.indices[matching]] = self._weighting.score(here.rows[matching], frequencies)
        return scores
