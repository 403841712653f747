"""Cut documents into passages at section, sentence and token boundaries.

Neighbouring passages overlap.  Sizes are tokens of the encoder in use.  A text is tokenised once, a long one in pieces;
the rest is arithmetic on offsets.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from retrieval.index.collection.document_store import passage_text
from retrieval.index.storage.settings import ChunkSettings
from retrieval.protocols import Tokenizer
from retrieval.types import Document, Passage, Section
from retrieval.util.text_boundaries import Boundaries, BoundaryStrength, find_boundaries

PIECE_CHARACTERS = 1 << 19  # a piece that is tokenised at once has at least this many, and at most twice as many
_PIECE_ENDS = (re.compile(r"(?<=\w)(?=\s)"), re.compile(r"(?<=\S)(?=\s)"))  # the better one first
MIN_BUDGET = 16  # tokens that a passage's text gets, even under a long title and heading
# A boundary of each strength is taken from this share of the budget on, even if a weaker one is further on.
EARLIEST_SHARE = {
    BoundaryStrength.PARAGRAPH: 0.6,
    BoundaryStrength.SENTENCE: 0.0,
    BoundaryStrength.CLAUSE: 0.6,
    BoundaryStrength.WORD: 0.8,
}
MAX_INDENT = 16  # characters: the most white space at the beginning of a line
SPACES = np.array(
    [9, 10, 11, 12, 13, 32, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000]
)


@dataclass(frozen=True, slots=True)
class TextSpan:
    """Code points `[start, end)` of a text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class PassageLimits:
    """Sizes of a passage in tokens.

    A passage has at most `budget`, of which at most `overlap` repeat the passage before.  The last one has `minimum`.
    """

    budget: int
    overlap: int
    minimum: int


@dataclass(frozen=True, slots=True)
class MeasuredText:
    """A text with the starts of its tokens and its boundaries.

    The starts ascend and are never at white space.  No boundary is inside a token.
    """

    text: str
    starts: NDArray[np.int64]
    boundaries: Boundaries

    def token_at(self, offset: int) -> int:
        """Return the index of the first token that starts at or after `offset`."""
        return int(np.searchsorted(self.starts, offset))

    def offset_of(self, token: int) -> int:
        """Return the start of a token; for the token after the last, the end of the text."""
        return int(self.starts[max(token, 0)]) if token < len(self.starts) else len(self.text)

    def count_tokens(self, start: int, end: int) -> int:
        """Count the tokens that start in `[start, end)`."""
        return self.token_at(end) - self.token_at(start)

    def first_boundary(self, after: int, until: int, minimum: BoundaryStrength) -> int | None:
        """Return the first boundary in `(after, until]` that is at least this strong."""
        found = self._boundaries(after, until, minimum)
        return int(found[0]) if len(found) else None

    def first_line(self, after: int, until: int) -> int | None:
        """Return the first boundary in `(after, until]` at which a line begins."""
        found = self._boundaries(after, until, BoundaryStrength.CLAUSE)
        indented = ((int(offset), self.text[max(0, offset - MAX_INDENT) : offset]) for offset in found)
        return next((offset for offset, before in indented if before.rstrip(" \t").endswith("\n")), None)

    def last_boundary(self, after: int, until: int, minimum: BoundaryStrength) -> int | None:
        """Return the last boundary in `(after, until]` that is at least this strong."""
        found = self._boundaries(after, until, minimum)
        return int(found[-1]) if len(found) else None

    def _boundaries(self, after: int, until: int, minimum: BoundaryStrength) -> NDArray[np.int64]:
        low, high = np.searchsorted(self.boundaries.offsets, (after, until), side="right")
        return self.boundaries.offsets[low:high][self.boundaries.strengths[low:high] >= minimum]


def chunk(document: Document, tokenizer: Tokenizer, settings: ChunkSettings) -> list[Passage]:
    """Cut a document into passages, in order: at least one.

    Together they cover every character that is not white space.  No passage has more tokens than its budget, and no cut
    is inside a sentence that fits.  A document that is cut already has the passages that it came with.
    """
    text = document.text
    if document.cut:
        return [Passage(each.start, each.end, each.location, each.heading) for each in document.sections]
    if settings.strategy == "whole":
        return [Passage(0, len(text))]
    size = min(settings.max_tokens or tokenizer.max_tokens, tokenizer.max_tokens)
    if not document.sections and _fits_by_length(document, size):
        return [Passage(0, len(text))]
    size -= _count_tokens(document.title, tokenizer)
    spans = _token_spans(text, tokenizer)
    if not document.sections and len(spans) <= max(size, MIN_BUDGET):
        return [Passage(0, len(text))]
    measured = measure_text(text, spans)
    passages = [
        passage
        for group in _section_groups(document, measured, settings.min_tokens)
        for passage in _cut_group(group, measured, size, settings, tokenizer)
    ]
    return passages or [Passage(0, len(text))]


def passage_texts(documents: Sequence[Document], passages: Sequence[Sequence[Passage]]) -> list[str]:
    """Return the text to encode for each passage, document after document."""
    return [
        passage_text(document.title, passage.heading, document.text[passage.start : passage.end])
        for document, own in zip(documents, passages, strict=True)
        for passage in own
    ]


def _token_spans(text: str, tokenizer: Tokenizer) -> NDArray[np.int32]:
    """Return the offsets of all tokens, (tokens, 2).

    A long text is tokenised in pieces, because a tokenizer needs a hundred times the size of its text.
    """
    edges = _edges(text)
    return np.concatenate([tokenizer.spans(text[start:end]) + start for start, end in pairwise(edges)], dtype=np.int32)


def _edges(text: str) -> list[int]:
    """Return the offsets that split a text into pieces.

    A piece ends between a word and the white space after it: tokenizers split the text there too.
    """
    edges = [0]
    while len(text) - edges[-1] > 2 * PIECE_CHARACTERS:
        earliest, latest = edges[-1] + PIECE_CHARACTERS, edges[-1] + 2 * PIECE_CHARACTERS
        found = (pattern.search(text, earliest, latest) for pattern in _PIECE_ENDS)
        edges.append(next((match.start() for match in found if match), latest))
    return [*edges, len(text)]


def _fits_by_length(document: Document, size: int) -> bool:
    """Check whether the text fits: a token of ASCII text has a character or more."""
    length = len(document.text) + len(document.title) + 1
    return length <= size and document.text.isascii() and document.title.isascii()


def _count_tokens(text: str, tokenizer: Tokenizer) -> int:
    return len(tokenizer.spans(text)) if text else 0


@dataclass(frozen=True, slots=True)
class SectionGroup:
    """Adjacent sections that may share passages: `[start, end)` of the text."""

    start: int
    end: int
    sections: tuple[Section, ...]


def _section_groups(document: Document, measured: MeasuredText, min_tokens: int) -> list[SectionGroup]:
    """Group sections of one heading; one below `min_tokens` joins its neighbour."""
    length = len(document.text)
    sections = document.sections or (Section(0, length, ""),)
    groups: list[list[Section]] = [[sections[0]]]
    for section in sections[1:]:
        same = section.heading == groups[-1][-1].heading
        if same or measured.count_tokens(groups[-1][0].start, section.start) < min_tokens:
            groups[-1].append(section)
        else:
            groups.append([section])
    if len(groups) > 1 and measured.count_tokens(groups[-1][0].start, length) < min_tokens:
        groups[-2:] = [groups[-2] + groups[-1]]
    edges = [0, *(group[0].start for group in groups[1:]), length]
    return [SectionGroup(*edge, tuple(group)) for edge, group in zip(pairwise(edges), groups, strict=True)]


def _cut_group(
    group: SectionGroup, measured: MeasuredText, size: int, settings: ChunkSettings, tokenizer: Tokenizer
) -> Iterator[Passage]:
    """Yield passages, each with the heading of the section that has most of it."""
    headings = {section.heading for section in group.sections}
    starts = [section.start for section in group.sections]
    budget = max(size - max(_count_tokens(heading, tokenizer) for heading in headings), MIN_BUDGET)
    sizes = PassageLimits(budget, min(settings.overlap_tokens, budget // 2), min(settings.min_tokens, budget // 2))
    for span in passage_spans(measured, TextSpan(group.start, group.end), sizes):
        if trimmed := _trim(measured.text, span):
            inside = group.sections[max(0, bisect_right(starts, trimmed.start) - 1) : bisect_left(starts, trimmed.end)]
            label = max(inside or group.sections[:1], key=lambda section: _shared_characters(section, trimmed))
            yield Passage(trimmed.start, trimmed.end, label.location, label.heading)


def _shared_characters(section: Section, span: TextSpan) -> int:
    """Count the characters of `span` that lie in `section`."""
    return min(section.end, span.end) - max(section.start, span.start)


def _trim(text: str, span: TextSpan) -> TextSpan | None:
    """Return `span` without its outer white space; None if nothing is left."""
    inner = text[span.start : span.end]
    start = span.start + len(inner) - len(inner.lstrip())
    end = span.start + len(inner.rstrip())
    return TextSpan(start, end) if start < end else None


def measure_text(text: str, spans: NDArray[np.int32]) -> MeasuredText:
    """Measure a text with these tokens, (tokens, 2), as a Tokenizer returns them."""
    starts = _skip_spaces(text, spans[:, 0].astype(np.int64))
    starts = np.maximum.accumulate(starts) if len(starts) else starts
    found = find_boundaries(text)
    if not len(starts):
        return MeasuredText(text, starts, found)
    before = np.searchsorted(starts, found.offsets) - 1  # the token that starts before each boundary
    inside = (before >= 0) & (spans[np.maximum(before, 0), 1] > found.offsets)
    return MeasuredText(text, starts, Boundaries(found.offsets[~inside], found.strengths[~inside]))


def _skip_spaces(text: str, starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Move token starts past white space that some tokenizers count as token text."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    position = np.where(np.isin(points, SPACES), len(points), np.arange(len(points)))
    following = np.minimum.accumulate(position[::-1])[::-1]  # the next character that is no space
    return np.append(following, len(points))[np.minimum(starts, len(points))]


def passage_spans(measured: MeasuredText, whole: TextSpan, limits: PassageLimits) -> Iterator[TextSpan]:
    """Yield spans, in order, that together cover `whole`, each within the budget."""
    last = measured.token_at(whole.end)
    start, covered = whole.start, whole.start
    while last - measured.token_at(start) > limits.budget:
        stop = _passage_end(measured, start, covered, limits)
        yield TextSpan(start, stop)
        start, covered = _next_start(measured, TextSpan(start, stop), last, limits), stop
    yield TextSpan(start, whole.end)


def _passage_end(measured: MeasuredText, start: int, covered: int, limits: PassageLimits) -> int:
    """Return the best end in the budget, after `covered`, for a passage at `start`."""
    first = measured.token_at(start)
    furthest = measured.offset_of(first + limits.budget)
    for strength in sorted(EARLIEST_SHARE, reverse=True):
        earliest = max(int(limits.budget * EARLIEST_SHARE[strength]), limits.minimum)
        found = measured.last_boundary(max(covered, measured.offset_of(first + earliest) - 1), furthest, strength)
        if found is not None:
            return found
    return max(furthest, covered + 1)


def _next_start(measured: MeasuredText, before: TextSpan, last: int, limits: PassageLimits) -> int:
    """Return a start in the overlap with `before`, at a sentence, line or word."""
    stop = measured.token_at(before.end)
    shortfall = limits.minimum - (last - stop)
    if shortfall > limits.overlap:
        return measured.offset_of(stop - shortfall)
    if not limits.overlap:
        return before.end
    earliest = max(measured.offset_of(stop - limits.overlap), before.start + 1) - 1
    found = (
        measured.first_boundary(earliest, before.end, BoundaryStrength.SENTENCE),
        measured.first_line(earliest, before.end),
        measured.first_boundary(earliest, before.end, BoundaryStrength.WORD),
    )
    return next((offset for offset in found if offset is not None), earliest + 1)
