"""Phrases as terms: the terms of a phrase and their positions, in one text.

A space before a term stands for the next position, and `|` for the same one: `run shoe`, `snake_case|snake case`.  No
term has these characters.  A phrase counts as often as it occurs in the title or the text of a passage.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from retrieval.index.lexical.analyzer import Analyzer
from retrieval.index.lexical.phrases import phrase_occurrences
from retrieval.index.lexical.postings import LiveSegment, TermPostings, term_postings

_PART = re.compile(r"(\|| *)([^| ]+)")

Positions = Sequence[tuple[str, int]]  # terms of a phrase and their positions in it


def phrase_positions(phrase: str, analyzer: Analyzer) -> list[tuple[str, int]]:
    """Return the terms of a phrase with their positions in it."""
    terms, position = [], 0
    for word in analyzer.split(phrase):
        form = analyzer.analyze_word(word)
        terms += [(term, position + offset) for term, offset in zip(form.terms, form.offsets, strict=True)]
        position += form.width
    return terms


def phrase_term(positions: Positions) -> str:
    """Return a phrase as one term; a phrase of one term is that term."""
    text, last = "", 0
    for term, position in sorted(positions, key=lambda each: each[1]):
        text += (" " * (position - last) or "|") + term if text else term
        last = position
    return text


def terms_of_phrase(text: str) -> list[tuple[str, int]]:
    """Return the terms of a phrase term, with their positions."""
    terms, position = [], 0
    for separator, term in _PART.findall(text):
        position += separator.count(" ")
        terms.append((term, position))
    return terms


def term_or_phrase_postings(text: str, number: int, segment: LiveSegment) -> TermPostings | None:
    """Return the postings of a term or a phrase term; None if no passage has it."""
    if " " not in text and "|" not in text:
        return term_postings(text, number, segment)
    passages, counts = phrase_occurrences(segment.postings, terms_of_phrase(text))
    if not len(passages):
        return None
    sparsest = float((segment.postings.passages["length"][passages] / counts).min())
    return TermPostings(number, segment, passages.astype(np.uint32), counts, float(counts.max()), sparsest)
