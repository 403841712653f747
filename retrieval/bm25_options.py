"""The record of BM25's parameters for one search, their ranges, and other limits.

The settings of a collection and the wire schema read them.  This module imports no numpy.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

BM25_RANGES = {"k1": (0.0, 100.0), "b": (0.0, 1.0), "short": (0.0, 1e6), "title_weight": (0.1, 100.0)}
MAX_SEARCHED = 16  # searched fields of a collection
MAX_STOP_WORDS, MAX_STOP_WORD = 10_000, 100  # of a list; characters of a word


@dataclass(frozen=True, slots=True)
class Bm25Options:
    """BM25's parameters for one search; None: those of the collection.

    `short` is the length in terms below which the length of passages hardly counts, 0 for none.  `title_weight` tells
    how many times a word in the title counts.
    """

    k1: float | None = None
    b: float | None = None
    short: float | None = None
    title_weight: float | None = None

    @property
    def given(self) -> dict[str, float]:
        """The parameters that the search chooses, by name."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if value is not None}
