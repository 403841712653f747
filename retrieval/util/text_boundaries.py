"""Find the boundaries at which a text may be cut.

They are paragraphs, sentences, lines and words.  This works for scripts with and without spaces between words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class BoundaryStrength(IntEnum):
    """How well a boundary suits a cut; a larger value is better."""

    WORD = 1
    CLAUSE = 2  # the end of a line, a semicolon or a comma
    SENTENCE = 3
    PARAGRAPH = 4


@dataclass(frozen=True, slots=True)
class Boundaries:
    """Boundaries of a text, ascending.

    After a cut at `offsets[i]` a part begins with that character.
    """

    offsets: NDArray[np.int64]
    strengths: NDArray[np.int8]


# One scan finds every boundary except plain spaces.  The alternatives are tried in this order at each position.
# A run of stops is entered at its first stop only and is never given back, so that every text takes linear time.
CLOSING = "\"'”’»›」』）)\\]】》〉"
STOPS = ".!?…؟۔։।॥።။"  # of Latin, Arabic, Armenian, Devanagari, Ethiopic and Burmese script
BOUNDARY = re.compile(
    rf"""
      (?P<paragraph> \n[^\S\n]*\n\s* | \f\s* )
    | (?P<wide> [。！？｡]+ [{CLOSING}]* \s* )                  # Chinese and Japanese: no space follows
    | (?P<stop> (?<![{STOPS}]) [{STOPS}]++ [{CLOSING}]*+ (?:\s+|$) )
    | (?P<clause> [；;：、，،؛] \s* | , \s+ | \n\s* )
    """,
    re.VERBOSE,
)
WORD = re.compile(r"\s+")
# A full stop after one of these does not end a sentence.  Lower case, without the stop.
ABBREVIATIONS = frozenset(
    """
    abbr abs al approx apr art aug bd bzw ca cf ch co corp dec dept dr ed eds eg env eq eqs etc ex feb fig figs ie inc
    jan jr jul jun ltd mar mr mrs ms no nos nov nr oct pp prof ref refs sec sep sept sr st str usw vol vs
    """.split()  # noqa: SIM905 -- a list of sixty quoted words would be harder to read
)
LAST_WORD = re.compile(r"(\w[\w.]*)\W?$")
MAX_HEADING = 500  # characters of a line that is a heading
LOOK_BACK = 24  # characters; longer than any abbreviation


def find_boundaries(text: str) -> Boundaries:
    """Find the boundaries inside `text`; of two at one offset, take the stronger."""
    found: dict[int, int] = {match.end(): BoundaryStrength.WORD for match in WORD.finditer(text)}
    for offset, strength in _marked_boundaries(text):
        found[offset] = max(strength, found.get(offset, 0))
    found.pop(0, None)
    found.pop(len(text), None)
    offsets = np.fromiter(sorted(found), np.int64, len(found))
    return Boundaries(offsets, np.fromiter((found[offset] for offset in offsets.tolist()), np.int8, len(found)))


def _marked_boundaries(text: str) -> Iterator[tuple[int, BoundaryStrength]]:
    for match in BOUNDARY.finditer(text):
        kind = match.lastgroup
        if kind == "paragraph":
            yield match.end(), BoundaryStrength.WORD if _is_heading(text, match.start()) else BoundaryStrength.PARAGRAPH
        elif kind == "wide" or (kind == "stop" and _ends_sentence(text, match)):
            paragraph = match.group().count("\n") > 1
            yield match.end(), BoundaryStrength.PARAGRAPH if paragraph else BoundaryStrength.SENTENCE
        elif kind == "clause" or (kind == "stop" and "\n" in match.group()):
            yield match.end(), BoundaryStrength.PARAGRAPH if match.group().count("\n") > 1 else BoundaryStrength.CLAUSE


def _is_heading(text: str, end: int) -> bool:
    """Check whether the line before `end` is a heading: it belongs to the next text."""
    first = max(0, end - MAX_HEADING)
    start = text.rfind("\n", first, end) + 1
    return (start > 0 or first == 0) and text.startswith("#", start)


def _ends_sentence(text: str, match: re.Match[str]) -> bool:
    """Check whether a stop ends a sentence, not an abbreviation, initial or number."""
    mark = match.group()
    if not mark.startswith(".") or mark.startswith(".."):
        return True
    if text[match.start() - 1 : match.start()].isspace():  # tokenised text: no abbreviation ends before a space
        return True
    following = text[match.end() : match.end() + 1]
    if following.islower() and "\n\n" not in mark:
        return False
    before = LAST_WORD.search(text, max(0, match.start() - LOOK_BACK), match.start())
    if before is None:
        return True
    word = before.group(1)
    if len(word) == 1 and word.isalpha():
        return not word.isupper() or not following.isupper()  # the initial of a name
    return word.lower().replace(".", "") not in ABBREVIATIONS
