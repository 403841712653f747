"""The live postings of each term in an open generation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from retrieval.index.lexical.postings import LiveRows, LiveSegment, TermPostings, term_postings
from retrieval.index.storage.bounded_cache import BoundedCache

_MAX_CACHED_TERMS = 1 << 13


@dataclass(frozen=True, slots=True)
class IndexedTerm:
    """A term with its postings in each segment; none if no passage contains it."""

    postings: tuple[TermPostings, ...]
    doc_freq: int  # live passages of this index


class TermIndex:
    """The segments of an inverted index.  Safe to call from several threads.

    read: finds the postings of a term in a segment.
    """

    def __init__(
        self, rows: LiveRows, read: Callable[[str, int, LiveSegment], TermPostings | None] = term_postings
    ) -> None:
        self._read = read
        self.rows = rows
        self.num_live = int(np.count_nonzero(self.rows.segment_of >= 0))
        self._terms: BoundedCache[str, IndexedTerm] = BoundedCache(_MAX_CACHED_TERMS)

    def term(self, text: str) -> IndexedTerm:
        """Return the postings of a term."""
        term = self._terms.get(text)
        if term is None:
            postings = tuple(self._postings(text))
            term = IndexedTerm(postings, sum(part.doc_freq for part in postings))
            if postings:
                self._terms.put(text, term, 1)
        return term

    def _postings(self, text: str) -> Iterator[TermPostings]:
        for number, segment in enumerate(self.rows.segments):
            found = self._read(text, number, segment)
            if found is not None:
                yield found
