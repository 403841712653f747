"""Sentences: their ends in a text, and parts of a text that end with one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from retrieval.util.text_boundaries import BoundaryStrength, find_boundaries
from retrieval.util.work_budget import checkpoint

_TRIES = 16  # shorter starts, where a start has fewer tokens than a shorter one


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Return the place of each sentence, without the white space around it."""
    found = find_boundaries(text)
    ends = found.offsets[found.strengths >= BoundaryStrength.SENTENCE].tolist()
    return list(_trimmed(text, [0, *ends, len(text)]))


def _trimmed(text: str, edges: list[int]) -> Iterator[tuple[int, int]]:
    for first, last in pairwise(edges):
        part = text[first:last]
        if part.strip():
            yield first + len(part) - len(part.lstrip()), first + len(part.rstrip())


def fitting_start(text: str, limit: int, count: Callable[[str], int], *, may_cut_sentence: bool) -> str:
    """Return the longest start of a text of at most `limit`, cut at a sentence.

    Without such a start, the text is cut after a word, or else after any character, if `may_cut_sentence`.
    """
    if count(text) <= limit:
        return text
    found = find_boundaries(text)
    kinds = [found.offsets[found.strengths >= BoundaryStrength.SENTENCE]]
    if may_cut_sentence:
        kinds += [found.offsets, np.arange(1, len(text))]
    for offsets in kinds:
        ends = offsets.tolist()
        fitting = bisect_right(ends, limit, key=lambda end: _counted(text[:end], count))
        for end in reversed(ends[max(0, fitting - _TRIES) : fitting]):
            part = text[:end].rstrip()
            if part and count(part) <= limit:
                return part
    return text[: limit // 4 or 1] if may_cut_sentence else ""  # no character has more than four tokens


def _counted(part: str, count: Callable[[str], int]) -> int:
    checkpoint()
    return count(part.rstrip())


def repeated(text: str) -> str:
    """Return what two copies of a sentence have in common: letters and digits."""
    return "".join(filter(str.isalnum, text.casefold()))
