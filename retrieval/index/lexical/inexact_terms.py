"""Inexact look-ups among the terms of a segment: near spellings and prefixes.

An edit inserts, deletes or replaces a letter, or swaps two neighbours (optimal string alignment; Damerau 1964).  Two
signatures of 64 bits leave few terms to compare: one bit for each letter, and one for each pair of letters.  An edit
changes at most two letters and six pairs.  The arrays take 25 bytes a term.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval.index.lexical.postings import Postings

Numbers = NDArray[np.int64]  # of terms, ascending

_LETTERS_PER_EDIT, _PAIRS_PER_EDIT = 2, 6  # bits of a signature that one edit may change
_KEY_BYTES = 8


class InexactTerms:
    """The terms of one segment; `number` counts them in the order of their bytes."""

    def __init__(self, postings: Postings) -> None:
        self.postings = postings
        count = postings.num_terms
        ends = np.ascontiguousarray(postings.lexicon["text"]).astype(np.int64)
        text = np.append(np.asarray(postings.terms), np.zeros(_KEY_BYTES, np.uint8))
        self._lengths = np.diff(ends).astype(np.uint8)  # of at most 100 characters; enough to tell short words apart
        self._letters, self._pairs = _signatures(text[: ends[-1]], ends) if count else (np.empty(0, np.uint64),) * 2
        window = ends[:-1, np.newaxis] + np.arange(_KEY_BYTES)
        inside = window < ends[1:, np.newaxis]
        self._keys = np.where(inside, text[window], 0).astype(np.uint8).view(">u8").ravel().astype(np.uint64)

    def text(self, number: int) -> str:
        return self.postings.text(number).decode()

    def known(self, words: Sequence[bytes]) -> list[int]:
        """Return the positions of those `words` that are terms of the segment."""
        if not words or not len(self._keys):
            return []
        keys = np.array(words, f"S{_KEY_BYTES}").view(">u8").astype(np.uint64)
        low, high = np.searchsorted(self._keys, keys), np.searchsorted(self._keys, keys, side="right")
        return [i for i in np.flatnonzero(low < high).tolist() if self._is_term(words[i], int(low[i]), int(high[i]))]

    def near(self, word: str, edits: int) -> list[tuple[str, int, int]]:
        """Return (term, number, distance) of the terms within so many edits.

        With two edits, the first letter must be that of the word.  A word of ASCII letters is near such terms only.
        """
        from rapidfuzz import process
        from rapidfuzz.distance import OSA

        data = word.encode()
        letter_bytes = max(len(letter.encode()) for letter in word)
        first, last = (0, len(self._keys)) if edits == 1 else self.starting(word[0])
        if first == last:
            return []
        letters, pairs = _signatures(np.frombuffer(data, np.uint8), np.array([0, len(data)]))
        lengths = self._lengths[first:last].astype(np.int16)
        limit = edits * letter_bytes
        possible = np.abs(lengths - len(data)) <= limit
        possible &= np.bitwise_count(self._letters[first:last] ^ letters) <= _LETTERS_PER_EDIT * limit
        numbers = np.flatnonzero(possible)
        pairs_changed = np.bitwise_count(self._pairs[first:last][numbers] ^ pairs)
        numbers = (numbers[pairs_changed <= _PAIRS_PER_EDIT * limit] + first).tolist()
        texts = [self.text(number) for number in numbers]
        found = process.extract(word, texts, scorer=OSA.distance, score_cutoff=edits, limit=None)
        near = [(text, numbers[i], int(distance)) for text, distance, i in found]
        return [each for each in near if each[0].isascii()] if word.isascii() else near

    def starting(self, prefix: str) -> tuple[int, int]:
        """Return the range of the terms that begin with a prefix."""
        start = prefix.encode()
        return self.postings.position(start), self.postings.position(start + b"\xff")

    def most_frequent(self, first: int, last: int, count: int) -> list[int]:
        """Return up to `count` terms of a range that are in the most passages."""
        members = self.postings.lexicon["member"][first : last + 1]
        passages = np.diff(members)
        order = np.argsort(-passages.astype(np.int64), kind="stable")[:count]
        found: list[int] = (order + first).tolist()
        return found

    def _is_term(self, word: bytes, low: int, high: int) -> bool:
        if len(word) < _KEY_BYTES:
            return bool(self._lengths[low] == len(word))  # the key has the whole word
        number = bisect_left(range(high), word, lo=low, key=self.postings.text)
        return number < high and self.postings.text(number) == word


def _signatures(text: NDArray[np.uint8], ends: Numbers) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the bits of the letters and of the pairs of each term, (terms,) each."""
    following = np.append(text[1:], np.uint8(0))
    following[ends[1:] - 1] = 0
    starts = ends[:-1]
    letters = np.uint64(1) << (text & 31).astype(np.uint64)
    pairs = np.uint64(1) << ((text.astype(np.uint64) * 31 + following) & np.uint64(63))
    return np.bitwise_or.reduceat(letters, starts), np.bitwise_or.reduceat(pairs, starts)
