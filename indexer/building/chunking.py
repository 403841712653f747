"""Document to passages: what is embedded, cut on structure, sentence and token borders.

Sizes are tokens of the encoder in use.  A text is tokenised once, a long one in pieces; everything after that is
arithmetic on offsets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from indexer.building.passage_boundaries import MeasuredText, PassageLimits, TextSpan, measure_text, passage_spans
from retrieval.index.collection.document_store import passage_text
from retrieval.index.storage.settings import ChunkSettings
from retrieval.protocols import Tokenizer
from retrieval.types import Document, Passage, Section

PIECE_CHARACTERS = 1 << 19  # and twice as many at most are tokenised at once
_PARTINGS = (re.compile(r"(?<=\w)(?=\s)"), re.compile(r"(?<=\S)(?=\s)"))  # the better one first
LEAST_BUDGET = 16  # tokens left to a passage's text, however long its title and heading are


def chunk(document: Document, tokenizer: Tokenizer, settings: ChunkSettings) -> list[Passage]:
    """Passages of `document` in order: at least one, together covering every character that is not white space.

    No passage has more tokens than its budget, and none is cut inside a sentence that would fit.
    """
    text = document.text
    if settings.strategy == "whole":
        return [Passage(0, len(text))]
    size = min(settings.max_tokens or tokenizer.max_tokens, tokenizer.max_tokens)
    if not document.sections and _surely_fits(document, size):
        return [Passage(0, len(text))]
    size -= _tokens(document.title, tokenizer)
    spans = _spans(text, tokenizer)
    if not document.sections and len(spans) <= max(size, LEAST_BUDGET):
        return [Passage(0, len(text))]
    cut = measure_text(text, spans)
    passages = [
        passage
        for part in _parts(document, cut, settings.min_tokens)
        for passage in _cut_part(part, cut, size, settings, tokenizer)
    ]
    return passages or [Passage(0, len(text))]


def passage_texts(documents: Sequence[Document], passages: Sequence[Sequence[Passage]]) -> list[str]:
    """What the encoder reads of all passages, document after document."""
    return [
        passage_text(document.title, each.heading, document.text[each.start : each.end])
        for document, parts in zip(documents, passages, strict=True)
        for each in parts
    ]


def _spans(text: str, tokenizer: Tokenizer) -> NDArray[np.int32]:
    """Offsets of all tokens.  A long text is tokenised in pieces, for a tokenizer notes a hundred times of its size."""
    edges = _edges(text)
    return np.concatenate([tokenizer.spans(text[start:end]) + start for start, end in pairwise(edges)], dtype=np.int32)


def _edges(text: str) -> list[int]:
    """Where a text is parted: between a word and the white space after it, where tokenizers part it themselves."""
    edges = [0]
    while len(text) - edges[-1] > 2 * PIECE_CHARACTERS:
        soonest, latest = edges[-1] + PIECE_CHARACTERS, edges[-1] + 2 * PIECE_CHARACTERS
        found = (pattern.search(text, soonest, latest) for pattern in _PARTINGS)
        edges.append(next((each.start() for each in found if each), latest))
    return [*edges, len(text)]


def _surely_fits(document: Document, size: int) -> bool:
    """True where counting tokens is needless: no token of ASCII text is shorter than a character."""
    length = len(document.text) + len(document.title) + 1
    return length <= size and document.text.isascii() and document.title.isascii()


def _tokens(text: str, tokenizer: Tokenizer) -> int:
    return len(tokenizer.spans(text)) if text else 0


@dataclass(frozen=True, slots=True)
class SectionGroup:
    """Neighbouring sections that may share passages: `[start, end)` of the text."""

    start: int
    end: int
    sections: tuple[Section, ...]


def _parts(document: Document, cut: MeasuredText, min_tokens: int) -> list[SectionGroup]:
    """The text taken apart where headings change; sections below the smallest size stay with their neighbour."""
    length = len(document.text)
    sections = document.sections or (Section(0, length, ""),)
    groups: list[list[Section]] = [[sections[0]]]
    for section in sections[1:]:
        same = section.heading == groups[-1][-1].heading
        if same or cut.tokens(groups[-1][0].start, section.start) < min_tokens:
            groups[-1].append(section)
        else:
            groups.append([section])
    if len(groups) > 1 and cut.tokens(groups[-1][0].start, length) < min_tokens:
        groups[-2:] = [groups[-2] + groups[-1]]
    edges = [0, *(group[0].start for group in groups[1:]), length]
    return [SectionGroup(*edge, tuple(group)) for edge, group in zip(pairwise(edges), groups, strict=True)]


def _cut_part(
    part: SectionGroup, cut: MeasuredText, size: int, settings: ChunkSettings, tokenizer: Tokenizer
) -> Iterator[Passage]:
    """Passages of one part, each labelled with the section that most of it lies in."""
    headings = {section.heading for section in part.sections}
    budget = max(size - max(_tokens(heading, tokenizer) for heading in headings), LEAST_BUDGET)
    sizes = PassageLimits(budget, min(settings.overlap_tokens, budget // 2), min(settings.min_tokens, budget // 2))
    for span in passage_spans(cut, TextSpan(part.start, part.end), sizes):
        if trimmed := _trimmed(cut.text, span):
            label = max(part.sections, key=lambda section: _shared(section, trimmed))
            yield Passage(trimmed.start, trimmed.end, label.location, label.heading)


def _shared(section: Section, span: TextSpan) -> int:
    """How many characters of `span` lie in `section`."""
    return min(section.end, span.end) - max(section.start, span.start)


def _trimmed(text: str, span: TextSpan) -> TextSpan | None:
    """`span` without its outer white space; None where nothing is left."""
    inner = text[span.start : span.end]
    start = span.start + len(inner) - len(inner.lstrip())
    end = span.start + len(inner.rstrip())
    return TextSpan(start, end) if start < end else None
