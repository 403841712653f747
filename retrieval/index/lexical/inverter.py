"""Invert texts into a segment of the lexical index.

`Inverter` numbers the terms of the texts, sorts their occurrences, and counts them.

`Vocabulary` cuts texts into *stretches* at characters that no word contains.  Texts share most of their stretches:
Python reads each distinct stretch once per block and analyzes it once; Arrow and numpy process its occurrences.

The memory is bounded by the number of occurrences between two calls of `Inverter.write`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from retrieval.index.lexical.analyzer import BREAKS, Analyzer
from retrieval.index.lexical.postings import PASSAGE, TERM, TITLE, TITLES, compact, save_array
from retrieval.util.files import Files

_KEY_BITS = 64  # of a sort key
_MAX_KEPT_STRETCHES = 1 << 20  # of the vocabulary, from one segment to the next
_FIELD_GAP = 1  # positions between title, searched fields and text, so that no phrase spans two


@dataclass(frozen=True, slots=True)
class TermTable:
    """The terms of strings; string i has `terms[first[i] : first[i] + count[i]]`."""

    terms: NDArray[np.int32]  # numbers of terms, string by string
    offsets: NDArray[np.int32]  # position of each term, counted from the first position of its string
    first: NDArray[np.int32]  # (strings,)
    count: NDArray[np.int32]  # (strings,)
    width: NDArray[np.int32]  # (strings,): number of positions that a string occupies

    def join(self, strings: NDArray[np.int32], bounds: NDArray[np.int32]) -> TermTable:
        """Concatenate `strings[bounds[i] : bounds[i + 1]]` to the new string i."""
        count = self.count[strings]
        terms = _running_sum(count)
        positions = _running_sum(self.width[strings])
        entry = np.repeat(self.first[strings] - terms[:-1], count)
        entry += np.arange(len(entry), dtype=np.int32)
        within = positions[:-1] - np.repeat(positions[bounds[:-1]], np.diff(bounds))
        return TermTable(
            self.terms[entry],
            self.offsets[entry] + np.repeat(within, count),
            terms[bounds[:-1]],
            np.diff(terms[bounds]),
            np.diff(positions[bounds]),
        )


class Vocabulary(dict[str, int]):
    """Numbers of stretches, and the terms of each stretch in tables for numpy.

    An ASCII stretch contains any number of words; another stretch is one word.
    """

    def __init__(self, analyzer: Analyzer, term_numbers: dict[str, int]) -> None:
        super().__init__()
        self._analyzer = analyzer
        self.term_numbers = term_numbers  # which vocabularies of several languages share
        self._terms, self._offsets = array("i"), array("i")  # of all stretches, concatenated
        self._first, self._count, self._width = array("i"), array("i"), array("i")  # by stretch

    def __missing__(self, stretch: str) -> int:
        words = self._analyzer.split(stretch) if stretch.isascii() else [stretch]
        self[stretch] = number = self[words[0]] if len(words) == 1 and words[0] != stretch else self._add(words)
        return number

    def _add(self, words: Iterable[str]) -> int:
        first, width = len(self._terms), 0
        for word in words:
            found = self._analyzer.analyze_word(word)
            numbers = self.term_numbers
            self._terms.extend([numbers.setdefault(term, len(numbers)) for term in found.terms])
            self._offsets.extend([width + offset for offset in found.offsets])
            width += found.width
        self._first.append(first)
        self._count.append(len(self._terms) - first)
        self._width.append(width)
        return len(self._first) - 1

    def analyze(self, texts: Iterable[str]) -> TermTable:
        """Return the terms of each text, equal to those of the analyzer."""
        cut = self._cut(texts)
        stretches = cut.values.dictionary_encode()
        distinct = stretches.dictionary.to_pylist()
        numbers = np.fromiter(map(self.__getitem__, distinct), np.int32, len(distinct))
        columns = (self._terms, self._offsets, self._first, self._count, self._width)
        table = TermTable(*(np.frombuffer(column, np.int32) for column in columns))
        return table.join(numbers[stretches.indices.to_numpy()], cut.offsets.to_numpy())

    def _cut(self, texts: Iterable[str]) -> pa.ListArray:
        """Cut each text into stretches; the first and the last one may be empty."""
        separated = [text if text.isascii() else self._separate_words(text) for text in texts]
        plain = pa.array(separated, pa.large_string())
        _, offsets, data = plain.buffers()
        blank = pa.py_buffer(data.to_pybytes().translate(BREAKS))
        return pc.ascii_split_whitespace(pa.LargeStringArray.from_buffers(len(plain), offsets, blank))

    def _separate_words(self, text: str) -> str:
        """Put spaces around each word that is not ASCII; words contain no white space."""
        return " ".join(part if part.isascii() else " ".join(self._analyzer.split(part)) for part in text.split())


def _running_sum(sizes: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the start of each consecutive range, and the end of the last one."""
    return np.append(np.int32(0), np.cumsum(sizes, dtype=np.int32))


@dataclass(frozen=True, slots=True)
class Occurrences:
    """The occurrences of terms in passages, one entry each."""

    term: NDArray[np.int32]
    passage: NDArray[np.int32]
    position: NDArray[np.int32]

    def sorted(self) -> Occurrences:
        """Sort by term, passage and position."""
        bits = [int(numbers.max(initial=0)).bit_length() for numbers in (self.term, self.passage, self.position)]
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
    """Collects passages and writes them as a segment, again and again."""

    def __init__(self, analyzer: Analyzer, title_weight: float, searched_weights: Sequence[float] = ()) -> None:
        self._analyzer = analyzer
        self._start_vocabularies()
        self._weights = (title_weight, *searched_weights)  # of the fields before the text, which counts once
        self._keys: list[NDArray[np.uint64]] = []
        self._starts: list[NDArray[np.int32]] = []  # (passages, fields): position where each field starts
        self._titles: list[NDArray[np.int32]] = []  # (passages,): terms of each title
        self._blocks: list[Occurrences] = []
        self.passages = 0  # collected since the last segment
        self.occurrences = 0

    def add(
        self,
        keys: NDArray[np.uint64],
        titles: Sequence[str],
        texts: Sequence[str],
        searched: Sequence[Sequence[str]] = (),
    ) -> None:
        """Collect passages; their keys ascend, also from call to call.

        searched: the texts of each searched field, one for each passage.
        """
        languages = [0] * len(keys)
        if len(self._vocabularies) > 1:
            languages = [self._analyzer.choose(f"{title} {text}") for title, text in zip(titles, texts, strict=True)]
        start = 0
        for language, run in groupby(languages):
            part = slice(start, start + len(list(run)))
            fields = [column[part] for column in (titles, *searched, texts)]
            self._add(self._vocabularies[language], keys[part], fields)
            start = part.stop

    def _start_vocabularies(self) -> None:
        term_numbers: dict[str, int] = {}
        self._vocabularies = [Vocabulary(each, term_numbers) for each in self._analyzer.each]

    def _add(self, vocabulary: Vocabulary, keys: NDArray[np.uint64], fields: Sequence[Sequence[str]]) -> None:
        """Collect passages of one language."""
        terms = vocabulary.analyze(chain.from_iterable(zip(*fields, strict=True)))
        widths = terms.width.reshape(-1, len(fields))
        starts = np.zeros_like(widths)
        starts[:, 1:] = np.cumsum(widths[:, :-1] + _FIELD_GAP, axis=1)
        counts = terms.count.reshape(-1, len(fields))
        passage = np.arange(self.passages, self.passages + len(keys), dtype=np.int32)
        block = Occurrences(
            terms.terms,
            np.repeat(passage, counts.sum(axis=1)),
            terms.offsets + np.repeat(starts.ravel(), terms.count),
        )
        self._keys.append(np.asarray(keys, dtype=np.uint64))
        self._starts.append(starts)
        self._titles.append(counts[:, 0])
        self._blocks.append(block)
        self.passages += len(keys)
        self.occurrences += len(block.term)

    def write(self, files: Files, folder: Path, segment: str) -> None:
        """Write the collected passages as a segment, and start the next segment."""
        keys, starts = np.concatenate(self._keys), np.concatenate(self._starts)
        rank, texts = self._sorted_terms()
        occurrences = Occurrences(
            rank[np.concatenate([block.term for block in self._blocks])],
            np.concatenate([block.passage for block in self._blocks]),
            np.concatenate([block.position for block in self._blocks]),
        )
        titles = np.zeros(len(keys), TITLE)
        titles["end"], titles["length"] = starts[:, 1], np.concatenate(self._titles)
        self._keys, self._starts, self._titles, self._blocks, self.passages, self.occurrences = [], [], [], [], 0, 0
        arrays = _count_occurrences(occurrences.sorted(), starts, self._weights)
        arrays[TITLES] = titles
        arrays["passages"]["key"] = keys
        encoded = [text.encode() for text in texts]
        arrays["lexicon"]["text"] = np.append(0, np.cumsum([len(text) for text in encoded]))
        arrays["terms"] = np.frombuffer(b"".join(encoded), np.uint8)
        for name, values in arrays.items():
            save_array(files, folder, segment, name, values)

    def _sorted_terms(self) -> tuple[NDArray[np.int32], list[str]]:
        """Sort the terms that occur: return the rank of each number, and the texts."""
        known = list(self._vocabularies[0].term_numbers)  # by number
        occurs = np.zeros(len(known), np.bool_)
        for block in self._blocks:
            occurs[block.term] = True
        used = np.flatnonzero(occurs).tolist()
        used.sort(key=known.__getitem__)
        rank = np.zeros(len(known), np.int32)
        rank[used] = np.arange(len(used))
        if sum(map(len, self._vocabularies)) > _MAX_KEPT_STRETCHES:
            self._start_vocabularies()
        return rank, [known[number] for number in used]


def _count_occurrences(
    found: Occurrences, starts: NDArray[np.int32], weights: Sequence[float]
) -> dict[str, NDArray[Any]]:
    """Make the arrays of a segment, without keys of passages and texts of terms.

    The frequency of a term is the sum of its numbers in the fields, each times the weight of the field (BM25F).
    """
    first = np.flatnonzero(_changes(found.term) | _changes(found.passage))
    term, members = found.term[first], found.passage[first]
    counts = np.diff(np.append(first, len(found.term)))
    frequencies: NDArray[Any] = counts
    for field, weight in enumerate(weights):
        if weight != 1.0 and len(first):
            begin, end = starts[found.passage, field], starts[found.passage, field + 1]
            in_field = (found.position >= begin) & (found.position < end)
            frequencies = frequencies + (weight - 1.0) * np.add.reduceat(in_field, first, dtype=np.int64)
    passages = np.zeros(len(starts), PASSAGE)
    passages["length"] = np.bincount(members, weights=frequencies, minlength=len(passages))
    return {
        "passages": passages,
        "lexicon": make_lexicon(term, counts, frequencies, passages["length"][members]),
        "members": members.astype(np.uint32),
        "frequencies": compact(frequencies),
        "counts": compact(counts),
        "places": compact(found.position),
    }


def _changes(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Check for each value whether it differs from the previous one."""
    changes = np.ones(len(values), np.bool_)
    np.not_equal(values[1:], values[:-1], out=changes[1:])
    return changes


def make_lexicon(
    term: NDArray[np.integer[Any]], counts: NDArray[np.int64], frequencies: NDArray[Any], lengths: NDArray[np.float32]
) -> NDArray[np.void]:
    """Make the TERM records of postings sorted by term, numbered without gaps."""
    first = np.flatnonzero(_changes(term))
    records = np.zeros(len(first) + 1, TERM)
    records["member"] = np.append(first, len(term))
    records["place"] = np.append(0, np.cumsum(counts))[records["member"].astype(np.int64)]
    if len(first):
        records["most"][:-1] = np.maximum.reduceat(frequencies, first)
        with np.errstate(divide="ignore"):
            records["sparsest"][:-1] = np.minimum.reduceat(lengths / frequencies, first)
    return records
