"""The files of one segment of the lexical index.

A segment is an immutable, memory-mapped inverted index of some passages.  The segment `0001` is a few `.npy` files:

    0001-passages.npy     PASSAGE records: key of each passage, ascending, and its length in terms
    0001-lexicon.npy      TERM records: one for each term, in the order of the UTF-8 bytes, and one that ends the last
    0001-terms.npy        the bytes of all terms, concatenated
    0001-members.npy      for each term, the passages that contain it, ascending (as indices of `passages`)
    0001-frequencies.npy  for each of these passages, the frequency of the term; the title counts with its weight
    0001-counts.npy       for each of these passages, the number of positions of the term, without weights
    0001-places.npy       for each of these passages, the positions of the term, ascending; the title comes first
    0001-titles.npy       TITLE records: where the title of each passage ends; absent from a sparse index and older ones

Each file stores its numbers in the smallest type that can represent them.  Reading a block of a file for the first
time checks its digest.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from retrieval.index.storage.checksums import CheckedFile, FileRecord
from retrieval.index.storage.npy import HEADER_BYTES, array_in, npy_bytes
from retrieval.types import Bitmap, Rows
from retrieval.util.arrays import find_sorted
from retrieval.util.files import Files, write_file

PASSAGE = np.dtype([("key", "<u8"), ("length", "<f4")])
TITLE = np.dtype(
    [
        ("end", "<u4"),  # of the positions in the title
        ("length", "<u4"),  # number of terms in the title, without its weight
    ]
)
TERM = np.dtype(
    [
        ("text", "<u8"),  # offset of the term's bytes in `terms`
        ("member", "<u8"),  # offset of its passages in `members`, `frequencies` and `counts`
        ("place", "<u8"),  # offset of its positions in `places`
        ("most", "<f4"),  # greatest frequency in a passage; with the next field, it bounds the term's BM25 scores
        ("sparsest", "<f4"),  # least ratio of a passage's length to the term's frequency in it
    ]
)
PER_POSTING = ("members", "frequencies", "counts")  # arrays with one element for each passage of a term
STREAMED = (*PER_POSTING, "places")  # arrays that are too large to be read whole
NAMES = ("passages", "lexicon", "terms", *STREAMED)
TITLES = "titles"  # an array that a segment may lack


class CheckedArray:
    """A one-dimensional `.npy` file that checks and reads only requested elements."""

    def __init__(self, file: CheckedFile) -> None:
        file.require(0, min(HEADER_BYTES, file.record.size_bytes))
        self._file = file
        self._array = array_in(file)
        self._start = file.record.size_bytes - self._array.nbytes
        if self._array.ndim != 1:
            raise file.damage("is not an array (unexpected layout)")

    def __len__(self) -> int:
        return len(self._array)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._array.dtype

    def read(self, start: int = 0, end: int | None = None) -> NDArray[Any]:
        """Return the elements [start, end) without a copy."""
        end = len(self._array) if end is None else end
        size = self._array.itemsize
        self._file.require(self._start + start * size, self._start + end * size)
        return self._array[start:end]


class Postings:
    """An open segment.  Safe to use from several threads."""

    def __init__(self, folder: Path, name: str, records: Mapping[str, FileRecord]) -> None:
        self.name = name
        arrays = (*NAMES, TITLES) if file_name(name, TITLES) in records else NAMES
        self.files = tuple(records[file_name(name, array)] for array in arrays)
        self.arrays = {array: CheckedArray(CheckedFile(folder, records[file_name(name, array)])) for array in arrays}
        self.passages: NDArray[np.void] = self.arrays["passages"].read()  # (n,) PASSAGE
        self.lexicon: NDArray[np.void] = self.arrays["lexicon"].read()  # (terms + 1,) TERM
        self.terms: NDArray[np.uint8] = self.arrays["terms"].read()
        self._texts = self.terms.data
        self._text_ends = np.ascontiguousarray(self.lexicon["text"]).data

    def __len__(self) -> int:
        return len(self.passages)

    @cached_property
    def titles(self) -> NDArray[np.void] | None:
        """TITLE records, if the segment has them: (passages,).

        Only searches with their own title weight read them.
        """
        return self.arrays[TITLES].read() if TITLES in self.arrays else None

    @property
    def num_terms(self) -> int:
        return len(self.lexicon) - 1

    def find(self, term: str) -> int | None:
        """Return the number of a term in this segment; None if no passage contains it."""
        wanted = term.encode()
        number = self.position(wanted)
        return number if number < self.num_terms and self.text(number) == wanted else None

    def position(self, text: bytes) -> int:
        """Return the number of terms before `text` in the order of the bytes."""
        return bisect_left(range(self.num_terms), text, key=self.text)

    def passages_of(self, term: int) -> NDArray[np.uint32]:
        """Return the passages that contain a term, ascending: (n,)."""
        return self.arrays["members"].read(*self._span("member", term))

    def frequencies_of(self, term: int) -> NDArray[Any]:
        """Return the frequency of a term in each of `passages_of`, the title weighted."""
        return self.arrays["frequencies"].read(*self._span("member", term))

    def counts_of(self, term: int) -> NDArray[Any]:
        """Return the number of positions of a term in each of `passages_of`: (n,)."""
        return self.arrays["counts"].read(*self._span("member", term))

    def positions_of(self, term: int) -> NDArray[Any]:
        """Return the positions of a term, passage by passage: (sum of `counts_of`,)."""
        return self.arrays["places"].read(*self._span("place", term))

    def _span(self, field: str, term: int) -> tuple[int, int]:
        return int(self.lexicon[field][term]), int(self.lexicon[field][term + 1])

    def text(self, term: int) -> bytes:
        """Return the bytes of a term by its number."""
        return self._texts[self._text_ends[term] : self._text_ends[term + 1]].tobytes()


@dataclass(frozen=True, slots=True)
class LiveSegment:
    """A segment in an open generation, with the row of each of its passages."""

    postings: Postings
    rows: Rows  # (passages,): -1 for a deleted passage
    first_row: int | None  # if no passage is deleted and the rows are consecutive

    @classmethod
    def locate(cls, postings: Postings, keys: NDArray[np.uint64], live: Bitmap) -> Self:
        """Find the rows of a segment's passages.  keys: (rows,), ascending; live: (rows,)."""
        positions, found = find_sorted(postings.passages["key"], keys)
        rows = np.where(found & live[positions] if len(keys) else found, positions, -1).astype(np.int64)
        consecutive = len(rows) > 0 and rows[0] >= 0 and bool(np.all(np.diff(rows) == 1))
        return cls(postings, rows, int(rows[0]) if consecutive else None)

    def shifted(self, rows: int) -> LiveSegment:
        """Return the segment in a generation with so many rows before its own."""
        first = None if self.first_row is None else self.first_row + rows
        return LiveSegment(self.postings, np.where(self.rows >= 0, self.rows + rows, -1), first)


@dataclass(frozen=True, slots=True)
class TermPostings:
    """The postings of one term in one segment."""

    segment_number: int
    segment: LiveSegment
    passages: NDArray[np.uint32]  # (n,), ascending
    frequencies: NDArray[Any]  # (n,)
    max_frequency: float  # in a passage; with the next field, it bounds the term's BM25 scores
    sparsest: float  # least ratio of a passage's length to the term's frequency in it

    @property
    def doc_freq(self) -> int:
        """The number of live passages that contain the term."""
        if self.segment.first_row is not None:
            return len(self.passages)
        return int(np.count_nonzero(self.segment.rows[self.passages] >= 0))

    def live_rows(self, allowed: Bitmap | None) -> tuple[Rows, NDArray[Any]]:
        """Return the live, allowed rows that contain the term, and its frequency in each."""
        if self.segment.first_row is None:
            rows = self.segment.rows[self.passages]
            kept = rows >= 0 if allowed is None else (rows >= 0) & allowed[rows]
        else:
            rows = self.passages + np.int64(self.segment.first_row)
            if allowed is None:
                return rows, self.frequencies
            kept = allowed[rows]
        return rows[kept], self.frequencies[kept]


def term_postings(text: str, number: int, segment: LiveSegment) -> TermPostings | None:
    """Return the postings of a term in a segment; None if no passage has it."""
    postings = segment.postings
    term = postings.find(text)
    if term is None:
        return None
    bounds = postings.lexicon[term]
    found = postings.passages_of(term), postings.frequencies_of(term)
    return TermPostings(number, segment, *found, float(bounds["most"]), float(bounds["sparsest"]))


@dataclass(frozen=True, slots=True)
class LocatedRows:
    """Those of the requested rows whose passages are in one segment."""

    indices: NDArray[np.int64]  # among the requested rows
    rows: Rows
    passages: NDArray[np.uint32]  # of the segment


@dataclass(frozen=True, slots=True)
class LiveRows:
    """The live passages of all segments by row."""

    segments: tuple[LiveSegment, ...]
    segment_of: NDArray[np.int32]  # (rows,): number of the segment that contains the passage; -1 for none
    passage_of: NDArray[np.uint32]  # (rows,): its index in that segment
    lengths: NDArray[np.float64]  # (rows,): in terms, the title weighted; 0 for a row without a passage

    @classmethod
    def of(cls, segments: Sequence[LiveSegment], num_rows: int) -> Self:
        """Arrange the live passages of `segments` by row."""
        lengths = np.zeros(num_rows, np.float64)
        segment_of = np.full(num_rows, -1, np.int32)
        passage_of = np.zeros(num_rows, np.uint32)
        for number, segment in enumerate(segments):
            passages = np.flatnonzero(segment.rows >= 0)
            rows = segment.rows[passages]
            lengths[rows] = segment.postings.passages["length"][passages]
            segment_of[rows], passage_of[rows] = number, passages
        return cls(tuple(segments), segment_of, passage_of, lengths)

    @classmethod
    def located(cls, postings: Sequence[Postings], keys: NDArray[np.uint64], live: Bitmap) -> Self:
        """Find the rows of segments.  keys: (rows,), ascending; live: (rows,)."""
        return cls.of([LiveSegment.locate(each, keys, live) for each in postings], len(keys))

    @classmethod
    def joined(cls, parts: Sequence[LiveRows]) -> Self:
        """Return the rows of several indexes, one index after the other."""
        segments, first = [], 0
        for part in parts:
            segments += [each.shifted(first) for each in part.segments]
            first += len(part)
        return cls.of(segments, first)

    def __len__(self) -> int:
        return len(self.segment_of)

    def locate(self, rows: Rows) -> list[LocatedRows]:
        """Return the requested rows of each segment."""
        segment_of, passage_of = self.segment_of[rows], self.passage_of[rows]
        indices = [np.flatnonzero(segment_of == number) for number in range(len(self.segments))]
        return [LocatedRows(some, rows[some], passage_of[some]) for some in indices]


def file_name(segment: str, array: str) -> str:
    """Return the name of the file of one array of a segment."""
    return f"{segment}-{array}.npy"


def save_array(files: Files, folder: Path, segment: str, array: str, values: NDArray[Any]) -> None:
    """Write the file of one whole array."""
    write_file(files, folder / file_name(segment, array), npy_bytes(values))


def compact(values: NDArray[Any]) -> NDArray[Any]:
    """Convert to the smallest unsigned type that fits, or to float32 for fractions."""
    kind = np.min_scalar_type(int(float(values.max(initial=0))))
    narrow = values.astype(kind)
    return narrow if np.array_equal(narrow, values) else values.astype(np.float32)
