"""Texts in, numbered terms out.

Texts are cut into *stretches* at characters that no word holds.  Texts repeat each other's stretches: Python meets
every different one once a block and analyses it once; what happens to each occurrence happens in Arrow and numpy.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from retrieval.index.lexical.analyzer import BREAKS, Analyzer


@dataclass(frozen=True, slots=True)
class Forms:
    """The terms of some numbered strings, where each stands from the string's first position on, and how many
    positions a string takes."""

    terms: NDArray[np.int32]  # of all strings, one after the other
    offsets: NDArray[np.int32]
    first: NDArray[np.int32]  # by string: where its terms begin
    count: NDArray[np.int32]
    width: NDArray[np.int32]

    def composed(self, parts: NDArray[np.int32], bounds: NDArray[np.int32]) -> Forms:
        """The forms of longer strings: string i is made of those that `parts[bounds[i]:bounds[i + 1]]` numbers."""
        count = self.count[parts]
        terms = _running(count)
        positions = _running(self.width[parts])
        entry = np.repeat(self.first[parts] - terms[:-1], count)
        entry += np.arange(len(entry), dtype=np.int32)
        within = positions[:-1] - np.repeat(positions[bounds[:-1]], np.diff(bounds))
        return Forms(
            self.terms[entry],
            self.offsets[entry] + np.repeat(within, count),
            terms[bounds[:-1]],
            np.diff(terms[bounds]),
            np.diff(positions[bounds]),
        )


class Vocabulary(dict[str, int]):
    """Stretches to numbers, and for each number its terms, in tables that numpy can gather from.

    A stretch of ASCII may hold several words, or none; any other is one word.
    """

    def __init__(self, analyzer: Analyzer) -> None:
        super().__init__()
        self._analyzer = analyzer
        self.numbers: dict[str, int] = {}  # of terms
        self._terms, self._offsets = array("i"), array("i")  # of all stretches, one after the other
        self._first, self._count, self._width = array("i"), array("i"), array("i")  # by stretch

    def __missing__(self, stretch: str) -> int:
        words = self._analyzer.split(stretch) if stretch.isascii() else [stretch]
        self[stretch] = number = self[words[0]] if len(words) == 1 and words[0] != stretch else self._add(words)
        return number

    def _add(self, words: Iterable[str]) -> int:
        first, width = len(self._terms), 0
        for word in words:
            form = self._analyzer.form(word)
            self._terms.extend([self.numbers.setdefault(term, len(self.numbers)) for term in form.terms])
            self._offsets.extend([width + offset for offset in form.offsets])
            width += form.width
        self._first.append(first)
        self._count.append(len(self._terms) - first)
        self._width.append(width)
        return len(self._first) - 1

    def forms(self, texts: Iterable[str]) -> Forms:
        """The terms of each of some texts: those of `Analyzer.form` for the words of `Analyzer.split`."""
        cut = self._cut(texts)
        stretches = cut.values.dictionary_encode()
        known = stretches.dictionary.to_pylist()
        numbers = np.fromiter(map(self.__getitem__, known), np.int32, len(known))
        columns = (self._terms, self._offsets, self._first, self._count, self._width)
        tables = Forms(*(np.frombuffer(each, np.int32) for each in columns))
        return tables.composed(numbers[stretches.indices.to_numpy()], cut.offsets.to_numpy())

    def _cut(self, texts: Iterable[str]) -> pa.ListArray:
        """Texts as lists of stretches; an empty one may stand at either end of a text."""
        plain = pa.array([text if text.isascii() else self._parted(text) for text in texts], pa.large_string())
        _, offsets, data = plain.buffers()
        blank = pa.py_buffer(data.to_pybytes().translate(BREAKS))
        return pc.ascii_split_whitespace(pa.LargeStringArray.from_buffers(len(plain), offsets, blank))

    def _parted(self, text: str) -> str:
        """A text of which every part that is not ASCII is one word; no word has white space inside."""
        return " ".join(part if part.isascii() else " ".join(self._analyzer.split(part)) for part in text.split())


def _running(sizes: NDArray[np.int32]) -> NDArray[np.int32]:
    """Where each of some neighbours begins, and where the last one ends."""
    return np.append(np.int32(0), np.cumsum(sizes, dtype=np.int32))
