"""Check the citations of an answer that a model writes.

The model cites by numbers in brackets.  A citation stays if a sentence of its text supports the sentence of the answer.
If none stays, the best other text that supports the sentence is cited instead.  A sentence that no text supports is
marked.  This finds invented facts, words and numbers.  It does not find a sentence that turns the meaning of its source
around, such as "raises" for "lowers".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from retrieval.search.answers.answer import AnswerSentence, Support
from retrieval.search.answers.sources import SourceSentences
from retrieval.util.text_boundaries import BoundaryStrength, find_boundaries

SUPPORTED = 0.55  # support from which a sentence counts as supported; docs/answers.md has its measurement
MAX_PENDING = 2_000  # characters of a sentence that has no end
MARK = re.compile(r"[\[【]\s*(\d{1,4}(?:\s*[,;–-]\s*\d{1,4})*+)\s*[\]】]")
OPEN_MARK = re.compile(r"[\[【][\d\s,;–-]*$")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*+")
MAX_CITED = 100  # of one range of numbers


def cited_ids(text: str) -> list[int]:
    """Return the numbers that a sentence cites, in order."""
    found: dict[int, None] = {}
    for mark in MARK.finditer(text):
        for part in re.split(r"[,;]", mark[1]):
            numbers = [int(number) for number in re.findall(r"\d+", part)]
            found |= dict.fromkeys(range(numbers[0], min(numbers[-1], numbers[0] + MAX_CITED) + 1))
    return list(found)


def without_marks(text: str) -> str:
    """Return a sentence without its citations and white space around."""
    return re.sub(rf"\s*(?:{MARK.pattern})", "", text).strip()


def check_sentence(written: str, sources: SourceSentences) -> AnswerSentence:
    """Return a sentence of a model with the citations that support it."""
    text, cited = without_marks(written), cited_ids(written)
    if not sources.sentences or not text:
        return AnswerSentence(text, (), supported=False, dropped=tuple(cited))
    scores = sources.support(text, sources.encoded(text))
    best: dict[int, int] = {}  # position of the best sentence of each citation
    for position in np.argsort(-scores, kind="stable").tolist():
        best.setdefault(sources.sentences[position].citation.id, position)
    supporting = {
        id_: position
        for id_, position in best.items()
        if scores[position] >= SUPPORTED and _has_numbers(text, sources, position)
    }
    kept = [id_ for id_ in supporting if id_ in cited] or list(supporting)[:1]
    citations = tuple(Support.of(sources.sentences[best[id_]], float(scores[best[id_]])) for id_ in kept)
    return AnswerSentence(text, citations, bool(citations), tuple(id_ for id_ in cited if id_ not in kept))


def _has_numbers(text: str, sources: SourceSentences, position: int) -> bool:
    """Check whether a cited text has every number of a sentence."""
    citation = sources.sentences[position].citation
    return _numbers(text) <= _numbers(f"{citation.title} {citation.text}")


def _numbers(text: str) -> set[str]:
    return {number.replace(",", "") for number in NUMBER.findall(text)}


class WrittenSentences:
    """Divides a text into sentences while it is written."""

    def __init__(self) -> None:
        self._pending = ""

    def add(self, written: str) -> list[str]:
        """Return the sentences that end in the text so far, each with its citations."""
        self._pending += written
        found: list[str] = []
        for end in self._ends():
            found.append(self._pending[sum(map(len, found)) : end])
        self._pending = self._pending[sum(map(len, found)) :]
        if len(self._pending) > MAX_PENDING:
            found.append(self._pending)
            self._pending = ""
        return [each for each in found if without_marks(each)]

    def rest(self) -> list[str]:
        """Return the last sentence, which may have no end."""
        pending, self._pending = self._pending, ""
        return [pending] if without_marks(pending) else []

    def _ends(self) -> Iterator[int]:
        """Yield the ends of sentences that further text cannot move."""
        found = find_boundaries(self._pending)
        last = 0
        for place, strength in zip(found.offsets.tolist(), found.strengths.tolist(), strict=True):
            is_line = "\n" in self._pending[len(self._pending[:place].rstrip()) : place]
            if place <= last or (strength < BoundaryStrength.SENTENCE and not is_line):
                continue
            end = place
            while mark := MARK.match(self._pending, end):
                end = mark.end() + len(self._pending[mark.end() :]) - len(self._pending[mark.end() :].lstrip())
            if end < len(self._pending) and not OPEN_MARK.match(self._pending, end):
                last = end
                yield end
