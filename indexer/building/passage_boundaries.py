"""Where exactly a long text is cut: the best borders under a token budget, with overlap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer.building.text_boundaries import Boundaries, BoundaryStrength, find_boundaries

# From which share of the budget on a border of each strength is taken, rather than a weaker one further on.
EARLIEST = {
    BoundaryStrength.PARAGRAPH: 0.6,
    BoundaryStrength.SENTENCE: 0.0,
    BoundaryStrength.CLAUSE: 0.6,
    BoundaryStrength.WORD: 0.8,
}
INDENT = 16  # characters: most white space that a line may begin with
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
    """Tokens of a passage: at most `budget`, of which `overlap` repeat the one before; the last has `least`."""

    budget: int
    overlap: int
    least: int


@dataclass(frozen=True, slots=True)
class MeasuredText:
    """A text, where its tokens start (ascending, never at white space), and its borders, none inside a token."""

    text: str
    starts: NDArray[np.int64]
    borders: Boundaries

    def token_at(self, offset: int) -> int:
        """Index of the first token that starts at or after `offset`."""
        return int(np.searchsorted(self.starts, offset))

    def offset_of(self, token: int) -> int:
        """Where token `token` starts; the text's end for the token after the last."""
        return int(self.starts[max(token, 0)]) if token < len(self.starts) else len(self.text)

    def tokens(self, start: int, end: int) -> int:
        """How many tokens start in `[start, end)`."""
        return self.token_at(end) - self.token_at(start)

    def first_border(self, after: int, until: int, least: BoundaryStrength) -> int | None:
        """First border in `(after, until]` that is at least this strong."""
        found = self._borders(after, until, least)
        return int(found[0]) if len(found) else None

    def first_line(self, after: int, until: int) -> int | None:
        """First border in `(after, until]` that begins a line, as a row of a table does."""
        found = self._borders(after, until, BoundaryStrength.CLAUSE)
        indented = ((int(each), self.text[max(0, each - INDENT) : each]) for each in found)
        return next((each for each, before in indented if before.rstrip(" \t").endswith("\n")), None)

    def last_border(self, after: int, until: int, least: BoundaryStrength) -> int | None:
        """Last border in `(after, until]` that is at least this strong."""
        found = self._borders(after, until, least)
        return int(found[-1]) if len(found) else None

    def _borders(self, after: int, until: int, least: BoundaryStrength) -> NDArray[np.int64]:
        low, high = np.searchsorted(self.borders.offsets, (after, until), side="right")
        return self.borders.offsets[low:high][self.borders.strengths[low:high] >= least]


def measure_text(text: str, spans: NDArray[np.int32]) -> MeasuredText:
    """`text` with its tokens, (tokens, 2) as a Tokenizer gives them, and the borders between them."""
    starts = _past_spaces(text, spans[:, 0].astype(np.int64))
    starts = np.maximum.accumulate(starts) if len(starts) else starts
    found = find_boundaries(text)
    if not len(starts):
        return MeasuredText(text, starts, found)
    before = np.searchsorted(starts, found.offsets) - 1  # the token that starts before each border
    inside = (before >= 0) & (spans[np.maximum(before, 0), 1] > found.offsets)
    return MeasuredText(text, starts, Boundaries(found.offsets[~inside], found.strengths[~inside]))


def _past_spaces(text: str, starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Token starts moved past the white space that some tokenizers count as part of the token."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    position = np.where(np.isin(points, SPACES), len(points), np.arange(len(points)))
    following = np.minimum.accumulate(position[::-1])[::-1]  # first character at or after each that is not a space
    return np.append(following, len(points))[np.minimum(starts, len(points))]


def passage_spans(cut: MeasuredText, whole: TextSpan, sizes: PassageLimits) -> Iterator[TextSpan]:
    """Spans in order that together cover `whole`, each within the budget."""
    last = cut.token_at(whole.end)
    start, covered = whole.start, whole.start
    while last - cut.token_at(start) > sizes.budget:
        stop = _stop(cut, start, covered, sizes)
        yield TextSpan(start, stop)
        start, covered = _restart(cut, TextSpan(start, stop), last, sizes), stop
    yield TextSpan(start, whole.end)


def _stop(cut: MeasuredText, start: int, covered: int, sizes: PassageLimits) -> int:
    """Where the passage that begins at `start` ends: beyond `covered`, at the best border within the budget."""
    first = cut.token_at(start)
    furthest = cut.offset_of(first + sizes.budget)
    for strength in sorted(EARLIEST, reverse=True):
        earliest = max(int(sizes.budget * EARLIEST[strength]), sizes.least)
        found = cut.last_border(max(covered, cut.offset_of(first + earliest) - 1), furthest, strength)
        if found is not None:
            return found
    return max(furthest, covered + 1)


def _restart(cut: MeasuredText, before: TextSpan, last: int, sizes: PassageLimits) -> int:
    """Where the passage after `before` begins: within the overlap, at a sentence, else at a line, else at a word."""
    stop = cut.token_at(before.end)
    missing = sizes.least - (last - stop)
    if missing > sizes.overlap:
        return cut.offset_of(stop - missing)
    if not sizes.overlap:
        return before.end
    earliest = max(cut.offset_of(stop - sizes.overlap), before.start + 1) - 1
    found = (
        cut.first_border(earliest, before.end, BoundaryStrength.SENTENCE),
        cut.first_line(earliest, before.end),
        cut.first_border(earliest, before.end, BoundaryStrength.WORD),
    )
    return next((each for each in found if each is not None), earliest + 1)
