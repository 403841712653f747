"""Frequencies and lengths under another title weight than that of the index.

The postings have the weighted frequencies f of the collection's own weight w₀.  With t, the number of times that a term
occurs in the title of a passage, its frequency under the weight w is f + (w - w₀) · t, and the length of a passage
changes in the same way.  The positions of the term and the end of the title in each passage give t.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import BadQuery
from retrieval.index.lexical.postings import LiveRows, Postings, TermPostings


class TitleWeight:
    """Another weight of the title than that of the index."""

    def __init__(self, weight: float, recorded: float) -> None:
        self.difference = weight - recorded

    def lengths(self, rows: LiveRows) -> NDArray[np.float64]:
        """Return the length of each row in terms: (rows,).  Raises BadQuery."""
        lengths = rows.lengths.copy()
        for segment in rows.segments:
            live = segment.rows >= 0
            lengths[segment.rows[live]] += self.difference * titles_of(segment.postings)["length"][live]
        return lengths

    def postings(self, text: str, found: Sequence[TermPostings]) -> tuple[TermPostings, ...]:
        """Return the postings of a term or a phrase.  Raises BadQuery.

        A phrase counts once, in the title as in the text.
        """
        return tuple(self._reweighted(text, part) for part in found)

    def _reweighted(self, text: str, part: TermPostings) -> TermPostings:
        postings = part.segment.postings
        titles = titles_of(postings)[part.passages]
        frequencies = part.frequencies.astype(np.float64)
        number = postings.find(text)
        if number is not None:  # a term and no phrase
            counts = postings.counts_of(number).astype(np.int64)
            starts = np.append(0, np.cumsum(counts)[:-1])
            in_title = postings.positions_of(number) < np.repeat(titles["end"], counts)
            frequencies += self.difference * np.add.reduceat(in_title, starts, dtype=np.int64)
        lengths = postings.passages["length"][part.passages] + self.difference * titles["length"]
        sparsest = float((lengths / frequencies).min())
        return replace(part, frequencies=frequencies, max_frequency=float(frequencies.max()), sparsest=sparsest)


def title_length(rows: LiveRows) -> float:
    """Return the sum of the terms in the titles of live passages.  Raises BadQuery."""
    return float(sum(titles_of(each.postings)["length"][each.rows >= 0].sum() for each in rows.segments))


def titles_of(postings: Postings) -> NDArray[np.void]:
    """Return the TITLE record of each passage.  Raises BadQuery for an old segment."""
    if postings.titles is None:
        raise BadQuery(
            "title_weight cannot be chosen for a search here: an earlier version wrote the lexical index; index the "
            "collection again, or set the weight for all searches by `attendex reindex DIR --title-weight N`"
        )
    return postings.titles
