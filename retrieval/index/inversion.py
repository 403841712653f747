"""Texts in, a segment of the lexical index out: splitting, counting and sorting in blocks of arrays.

Python sees every *different* word once; what happens to each occurrence happens in numpy and in the regular
expression.  Memory is bounded by the tokens that are gathered before `write`.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from retrieval.index.analysis import SEPARATOR, Analyzer
from retrieval.index.directory import Files
from retrieval.index.postings import PASSAGE, TERM, compact, save_array

_SLOT_BITS = 40  # of a sort key; the term's number stands above
_KNOWN_WORDS = 1 << 20  # kept from one segment to the next
_TITLE_GAP = 1  # positions between title and text, so that no phrase spans both


@dataclass(frozen=True, slots=True)
class Occurrences:
    """Terms of some passages, one entry an occurrence; `passage` counts from the first one of the block."""

    term: NDArray[np.int32]
    passage: NDArray[np.int32]
    position: NDArray[np.int32]
    title_widths: NDArray[np.int64]  # (passages,): the positions of its text begin behind them
    widths: NDArray[np.int64]  # (passages,): all its positions


class Vocabulary(dict[str, int]):
    """Words to numbers, and for each number its terms, in tables that numpy can gather from."""

    def __init__(self, analyzer: Analyzer) -> None:
        super().__init__()
        self._analyzer = analyzer
        self.numbers: dict[str, int] = {}  # of terms
        self._terms, self._offsets = array("i"), array("i")  # of all words, one after the other
        self._first, self._count, self._width = array("i"), array("i"), array("i")  # by word
        self.separator = self[SEPARATOR]

    def __missing__(self, word: str) -> int:
        form = self._analyzer.form(word)
        self._first.append(len(self._terms))
        self._count.append(len(form.terms))
        self._width.append(form.width)
        self._terms.extend(self.numbers.setdefault(term, len(self.numbers)) for term in form.terms)
        self._offsets.extend(form.offsets)
        self[word] = number = len(self._first) - 1
        return number

    def occurrences(self, texts: Sequence[str], titles: Sequence[str]) -> Occurrences:
        """The terms of passages, title and text."""
        words = self._analyzer.split(_joined([piece for pair in zip(titles, texts, strict=True) for piece in pair]))
        numbers = np.fromiter(map(self.__getitem__, words), np.int32, len(words))
        width = np.frombuffer(self._width, np.int32)[numbers]
        ends = np.cumsum(width, dtype=np.int64)
        between = np.flatnonzero(numbers == self.separator)
        piece_starts = np.concatenate(([0], ends[between]))  # in positions of the whole block
        piece_widths = np.diff(np.append(piece_starts, width.sum(dtype=np.int64)))
        piece = np.cumsum(numbers == self.separator)
        text_starts = piece_widths[::2] + _TITLE_GAP
        shift = piece_starts
        shift[1::2] -= text_starts
        term, passage, position = self._expanded(numbers, piece >> 1, ends - width - shift[piece])
        return Occurrences(term, passage, position, piece_widths[::2], text_starts + piece_widths[1::2])

    def _expanded(
        self, words: NDArray[np.int32], passage: NDArray[np.int64], position: NDArray[np.int64]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
        """Words replaced by their terms: term, passage and position of each."""
        count = np.frombuffer(self._count, np.int32)[words]
        word = np.repeat(np.arange(len(words), dtype=np.int32), count)
        within = np.arange(len(word)) - np.repeat(np.cumsum(count, dtype=np.int64) - count, count)
        entry = np.frombuffer(self._first, np.int32)[words[word]] + within
        terms, offsets = np.frombuffer(self._terms, np.int32), np.frombuffer(self._offsets, np.int32)
        return terms[entry], passage[word].astype(np.int32), (position[word] + offsets[entry]).astype(np.int32)


def _joined(pieces: Sequence[str]) -> str:
    """One text of several, with separators between them and nowhere else."""
    text = SEPARATOR.join(pieces)
    if text.count(SEPARATOR) >= len(pieces):
        text = SEPARATOR.join(piece.replace(SEPARATOR, " ") for piece in pieces)
    return text


class Inverter:
    """Gathers passages for one segment after the other."""

    def __init__(self, analyzer: Analyzer, title_weight: float) -> None:
        self._analyzer = analyzer
        self._vocabulary = Vocabulary(analyzer)
        self._title_weight = title_weight
        self._keys: list[NDArray[np.uint64]] = []
        self._blocks: list[Occurrences] = []
        self.occurrences = 0

    @property
    def passages(self) -> int:
        """How many are gathered."""
        return sum(map(len, self._keys))

    def add(self, keys: NDArray[np.uint64], titles: Sequence[str], texts: Sequence[str]) -> None:
        """Gather passages; keys ascend from call to call.

        Passages with other characters than ASCII's are split apart from the rest, which has a quicker way.
        """
        plain = np.array([title.isascii() and text.isascii() for title, text in zip(titles, texts, strict=True)])
        for group in (np.flatnonzero(plain).tolist(), np.flatnonzero(~plain).tolist()):
            if len(group):
                block = self._vocabulary.occurrences([texts[i] for i in group], [titles[i] for i in group])
                self._blocks.append(block)
                self._keys.append(np.asarray(keys, dtype=np.uint64)[group])
                self.occurrences += len(block.term)

    def write(self, files: Files, folder: Path, segment: str) -> None:
        """Save what was gathered as a segment, and begin the next."""
        keys = np.concatenate(self._keys)
        order = np.argsort(keys)
        number = np.empty(len(keys), np.int64)  # of a passage in the order of keys
        number[order] = np.arange(len(keys))
        blocks, self._blocks, self._keys, self.occurrences = self._blocks, [], [], 0
        starts = np.cumsum([0, *(len(each.widths) for each in blocks[:-1])])
        passage = np.concatenate([number[start + each.passage] for start, each in zip(starts, blocks, strict=True)])
        position = np.concatenate([each.position for each in blocks])
        title_widths = np.concatenate([each.title_widths for each in blocks])[order]
        widths = np.concatenate([each.widths for each in blocks])[order]
        term, texts = self._sorted_terms(np.concatenate([each.term for each in blocks]))
        del blocks
        arrays = _inverted(term, passage, position, title_widths, widths, self._title_weight)
        arrays["passages"]["key"] = keys[order]
        _add_texts(arrays, texts)
        for name, values in arrays.items():
            save_array(files, folder, segment, name, values)

    def _sorted_terms(self, term: NDArray[np.int32]) -> tuple[NDArray[np.int64], list[str]]:
        """Terms numbered by their order among those that occur, and their texts in this order."""
        known = list(self._vocabulary.numbers)  # by number
        used = np.flatnonzero(np.bincount(term, minlength=len(known))).tolist()
        used.sort(key=known.__getitem__)
        rank = np.zeros(len(known), np.int64)
        rank[used] = np.arange(len(used))
        if len(self._vocabulary) > _KNOWN_WORDS:
            self._vocabulary = Vocabulary(self._analyzer)
        return rank[term], [known[number] for number in used]


Arrays: TypeAlias = dict[str, NDArray[Any]]


def _inverted(
    term: NDArray[np.int64],
    passage: NDArray[np.int64],
    position: NDArray[np.int32],
    title_widths: NDArray[np.int64],
    widths: NDArray[np.int64],
    title_weight: float,
) -> Arrays:
    """Occurrences in any order to the arrays of a segment; its keys and texts are still to be filled in."""
    slots = np.concatenate(([0], np.cumsum(widths)))  # a slot is a position of a passage, counted through all passages
    packed = (term.astype(np.uint64) << np.uint64(_SLOT_BITS)) | (slots[passage] + position).astype(np.uint64)
    packed.sort()
    slot = (packed & np.uint64((1 << _SLOT_BITS) - 1)).astype(np.int64)
    term = (packed >> np.uint64(_SLOT_BITS)).astype(np.int64)
    passage = np.repeat(np.arange(len(widths)), widths)[slot]
    position = (slot - slots[passage]).astype(np.int32)
    first = np.flatnonzero(np.append(True, (term[1:] != term[:-1]) | (passage[1:] != passage[:-1])))
    if not len(term):
        first = np.empty(0, np.int64)
    counts = np.diff(np.append(first, len(term)))
    in_title = np.add.reduceat(position < title_widths[passage], first, dtype=np.int64) if len(first) else counts
    frequencies = counts + (title_weight - 1.0) * in_title
    members = passage[first]
    passages = np.zeros(len(widths), PASSAGE)
    passages["length"] = np.bincount(members, weights=frequencies, minlength=len(widths))
    return {
        "passages": passages,
        "lexicon": lexicon(term[first], counts, frequencies, passages["length"][members]),
        "members": members.astype(np.uint32),
        "frequencies": compact(frequencies),
        "counts": compact(counts),
        "places": compact(position),
    }


def lexicon(
    term: NDArray[np.int64], counts: NDArray[np.int64], frequencies: NDArray[Any], lengths: NDArray[np.float32]
) -> NDArray[np.void]:
    """TERM records of postings that are sorted by term; every number up to the greatest has some."""
    first = np.flatnonzero(np.append(True, term[1:] != term[:-1])) if len(term) else np.empty(0, np.int64)
    records = np.zeros(len(first) + 1, TERM)
    records["member"] = np.append(first, len(term))
    records["place"] = np.append(0, np.cumsum(counts))[records["member"].astype(np.int64)]
    if len(first):
        records["most"][:-1] = np.maximum.reduceat(frequencies, first)
        with np.errstate(divide="ignore"):
            records["sparsest"][:-1] = np.minimum.reduceat(lengths / frequencies, first)
    return records


def _add_texts(arrays: Arrays, texts: Sequence[str]) -> None:
    encoded = [text.encode() for text in texts]
    arrays["lexicon"]["text"] = np.append(0, np.cumsum([len(each) for each in encoded]))
    arrays["terms"] = np.frombuffer(b"".join(encoded), np.uint8)
