"""Texts in, a segment of the lexical index out: terms are gathered in blocks of arrays, sorted and counted.

Memory is bounded by the occurrences that are gathered before `write`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from retrieval.index.lexical.analyzer import Analyzer
from retrieval.index.lexical.postings import PASSAGE, TERM, compact, save_array
from retrieval.index.lexical.term_dictionary import Vocabulary
from retrieval.util.files import Files

_KEY_BITS = 64  # of a sort key
_KNOWN_WORDS = 1 << 20  # kept from one segment to the next
_TITLE_GAP = 1  # positions between title and text, so that no phrase spans both


@dataclass(frozen=True, slots=True)
class Occurrences:
    """Terms of some passages, one entry an occurrence."""

    term: NDArray[np.int32]
    passage: NDArray[np.int32]
    position: NDArray[np.int32]

    def sorted(self) -> Occurrences:
        """By term, passage and position."""
        bits = [int(each.max(initial=0)).bit_length() for each in (self.term, self.passage, self.position)]
        if sum(bits) > _KEY_BITS:
            order = np.lexsort((self.position, self.passage, self.term))
            return Occurrences(self.term[order], self.passage[order], self.position[order])
        _, passage_bits, position_bits = map(np.uint64, bits)
        key = self.term.astype(np.uint64)
        key <<= passage_bits
        key |= self.passage.astype(np.uint64)
        key <<= position_bits
        key |= self.position.astype(np.uint64)
        key.sort()
        position = _low_bits(key, position_bits)
        key >>= position_bits
        passage = _low_bits(key, passage_bits)
        key >>= passage_bits
        return Occurrences(key.astype(np.int32), passage, position)


def _low_bits(key: NDArray[np.uint64], bits: np.uint64) -> NDArray[np.int32]:
    return (key & np.uint64((1 << int(bits)) - 1)).astype(np.int32)


class Inverter:
    """Gathers passages for one segment after the other."""

    def __init__(self, analyzer: Analyzer, title_weight: float) -> None:
        self._analyzer = analyzer
        self._vocabulary = Vocabulary(analyzer)
        self._title_weight = title_weight
        self._keys: list[NDArray[np.uint64]] = []
        self._title_widths: list[NDArray[np.int32]] = []  # (passages,): the positions of its text begin behind them
        self._blocks: list[Occurrences] = []
        self.passages = 0  # that are gathered
        self.occurrences = 0

    def add(self, keys: NDArray[np.uint64], titles: Sequence[str], texts: Sequence[str]) -> None:
        """Gather passages; keys ascend from call to call."""
        forms = self._vocabulary.forms(chain.from_iterable(zip(titles, texts, strict=True)))
        title_widths = forms.width[::2]
        behind_title = np.zeros_like(forms.width)
        behind_title[1::2] = title_widths + _TITLE_GAP
        passage = np.arange(self.passages, self.passages + len(keys), dtype=np.int32)
        block = Occurrences(
            forms.terms,
            np.repeat(passage, forms.count[::2] + forms.count[1::2]),
            forms.offsets + np.repeat(behind_title, forms.count),
        )
        self._keys.append(np.asarray(keys, dtype=np.uint64))
        self._title_widths.append(title_widths)
        self._blocks.append(block)
        self.passages += len(keys)
        self.occurrences += len(block.term)

    def write(self, files: Files, folder: Path, segment: str) -> None:
        """Save what was gathered as a segment, and begin the next."""
        keys, title_widths = np.concatenate(self._keys), np.concatenate(self._title_widths)
        rank, texts = self._sorted_terms()
        found = Occurrences(
            rank[np.concatenate([each.term for each in self._blocks])],
            np.concatenate([each.passage for each in self._blocks]),
            np.concatenate([each.position for each in self._blocks]),
        )
        self._keys, self._title_widths, self._blocks, self.passages, self.occurrences = [], [], [], 0, 0
        arrays = _inverted(found.sorted(), title_widths, self._title_weight)
        arrays["passages"]["key"] = keys
        _add_texts(arrays, texts)
        for name, values in arrays.items():
            save_array(files, folder, segment, name, values)

    def _sorted_terms(self) -> tuple[NDArray[np.int32], list[str]]:
        """For the number of each term its place among those that occur, and their texts in this order."""
        known = list(self._vocabulary.numbers)  # by number
        occurs = np.zeros(len(known), np.bool_)
        for block in self._blocks:
            occurs[block.term] = True
        used = np.flatnonzero(occurs).tolist()
        used.sort(key=known.__getitem__)
        rank = np.zeros(len(known), np.int32)
        rank[used] = np.arange(len(used))
        if len(self._vocabulary) > _KNOWN_WORDS:
            self._vocabulary = Vocabulary(self._analyzer)
        return rank, [known[number] for number in used]


Arrays: TypeAlias = dict[str, NDArray[Any]]


def _inverted(found: Occurrences, title_widths: NDArray[np.int32], title_weight: float) -> Arrays:
    """Sorted occurrences to the arrays of a segment; its keys and texts are still to be filled in."""
    first = np.flatnonzero(_changes(found.term) | _changes(found.passage))
    term, members = found.term[first], found.passage[first]
    counts = np.diff(np.append(first, len(found.term)))
    frequencies: NDArray[Any] = counts
    if title_weight != 1.0 and len(first):
        in_title = found.position < title_widths[found.passage]
        frequencies = counts + (title_weight - 1.0) * np.add.reduceat(in_title, first, dtype=np.int64)
    passages = np.zeros(len(title_widths), PASSAGE)
    passages["length"] = np.bincount(members, weights=frequencies, minlength=len(passages))
    return {
        "passages": passages,
        "lexicon": lexicon(term, counts, frequencies, passages["length"][members]),
        "members": members.astype(np.uint32),
        "frequencies": compact(frequencies),
        "counts": compact(counts),
        "places": compact(found.position),
    }


def _changes(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a value differs from the one before it; the first one does."""
    changes = np.ones(len(values), np.bool_)
    np.not_equal(values[1:], values[:-1], out=changes[1:])
    return changes


def lexicon(
    term: NDArray[np.integer[Any]], counts: NDArray[np.int64], frequencies: NDArray[Any], lengths: NDArray[np.float32]
) -> NDArray[np.void]:
    """TERM records of postings that are sorted by term; every number up to the greatest has some."""
    first = np.flatnonzero(_changes(term))
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
