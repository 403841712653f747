"""The files of one segment of the lexical index: an inverted index of some passages, immutable, memory-mapped.

A segment `0001` is seven `.npy` files in the folder of its lexical index:

    0001-passages.npy     PASSAGE records: key and length in terms of each passage, keys ascending
    0001-lexicon.npy      TERM records, one a term in order of its UTF-8 bytes and one behind the last
    0001-terms.npy        the terms' bytes, one after the other
    0001-members.npy      for each term the passages that have it, ascending (positions in `passages`)
    0001-frequencies.npy  for each of these, how often, the title weighted
    0001-counts.npy       and how often as counted: how many places it has
    0001-places.npy       for each of these the term's positions in the passage, ascending; the title comes first

Numbers are kept in the smallest type that holds them.  A block of a file is checked against its digest when it is
first used.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import DTypeLike, NDArray

from retrieval.index.storage.checksums import CheckedFile, FileRecord
from retrieval.index.storage.npy import read_header
from retrieval.util.files import Files, write_file

PASSAGE = np.dtype([("key", "<u8"), ("length", "<f4")])
TERM = np.dtype(
    [
        ("text", "<u8"),  # where it begins in `terms`
        ("member", "<u8"),  # where its passages begin in `members`, `frequencies` and `counts`
        ("place", "<u8"),  # where its positions begin in `places`
        ("most", "<f4"),  # greatest frequency in a passage; this and the next bound the term's part of any score
        ("sparsest", "<f4"),  # least length of a passage for one occurrence in it
    ]
)
NAMES = ("passages", "lexicon", "terms", "members", "frequencies", "counts", "places")
_HEADER_BYTES = 4096


class CheckedArray:
    """A one-dimensional `.npy` file of which only what is asked for is checked and read."""

    def __init__(self, file: CheckedFile) -> None:
        self._file = file
        file.require(0, min(_HEADER_BYTES, file.record.size_bytes))
        try:
            header = read_header(BytesIO(bytes(file.bytes[:_HEADER_BYTES])))
            self._start = header.size_bytes
            self._array: NDArray[Any] = np.frombuffer(memoryview(file.bytes)[self._start :], dtype=header.dtype)
            if header.shape != self._array.shape:
                raise ValueError("unexpected layout")
        except ValueError as error:
            raise file.damage(f"is not an array ({error})") from error

    def __len__(self) -> int:
        return len(self._array)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._array.dtype

    def read(self, start: int = 0, end: int | None = None) -> NDArray[Any]:
        """The elements [start, end), without a copy."""
        end = len(self._array) if end is None else end
        size = self._array.itemsize
        self._file.require(self._start + start * size, self._start + end * size)
        return self._array[start:end]


class Postings:
    """One open segment.  Safe to use from several threads."""

    def __init__(self, folder: Path, name: str, records: Mapping[str, FileRecord]) -> None:
        self.name = name
        self.files = tuple(records[file_name(name, each)] for each in NAMES)
        arrays = {each: CheckedArray(CheckedFile(folder, records[file_name(name, each)])) for each in NAMES}
        self.passages: NDArray[np.void] = arrays["passages"].read()  # (n,) PASSAGE
        self.lexicon: NDArray[np.void] = arrays["lexicon"].read()  # (terms + 1,) TERM
        self.terms: NDArray[np.uint8] = arrays["terms"].read()
        self.members = arrays["members"]
        self.frequencies = arrays["frequencies"]
        self.counts = arrays["counts"]
        self.places = arrays["places"]
        self._texts = self.terms.data
        self._text_ends = np.ascontiguousarray(self.lexicon["text"]).data

    def __len__(self) -> int:
        return len(self.passages)

    @property
    def term_count(self) -> int:
        return len(self.lexicon) - 1

    def find(self, term: str) -> int | None:
        """The number of a term in this segment."""
        wanted = term.encode()
        number = bisect_left(range(self.term_count), wanted, key=self._text)
        return number if number < self.term_count and self._text(number) == wanted else None

    def members_of(self, term: int) -> NDArray[np.uint32]:
        """The passages that have a term, ascending."""
        return self.members.read(*self._span("member", term))

    def frequencies_of(self, term: int) -> NDArray[Any]:
        """How often each of these has it, the title weighted."""
        return self.frequencies.read(*self._span("member", term))

    def counts_of(self, term: int) -> NDArray[Any]:
        """How many positions each of these has."""
        return self.counts.read(*self._span("member", term))

    def places_of(self, term: int) -> NDArray[Any]:
        """These positions, passage after passage."""
        return self.places.read(*self._span("place", term))

    def _span(self, field: str, term: int) -> tuple[int, int]:
        return int(self.lexicon[field][term]), int(self.lexicon[field][term + 1])

    def _text(self, term: int) -> bytes:
        return self._texts[self._text_ends[term] : self._text_ends[term + 1]].tobytes()


def file_name(segment: str, array: str) -> str:
    """The file of one array of a segment."""
    return f"{segment}-{array}.npy"


def save_array(files: Files, folder: Path, segment: str, array: str, values: NDArray[Any]) -> None:
    """Write one array whole."""
    out = BytesIO()
    write_header(out, len(values), values.dtype)
    write_file(files, folder / file_name(segment, array), out.getvalue() + np.ascontiguousarray(values).tobytes())


def write_header(file: BinaryIO | BytesIO, length: int, dtype: DTypeLike) -> None:
    """Begin a `.npy` file of one dimension; its elements follow."""
    header = {"descr": npy.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": (length,)}
    npy.write_array_header_1_0(file, header)


def compact(values: NDArray[Any]) -> NDArray[Any]:
    """The same numbers in the smallest unsigned type that holds them, or float32 where they are not whole."""
    most = float(values.max(initial=0))
    kind = np.min_scalar_type(int(most))
    narrow = values.astype(kind)
    return narrow if np.array_equal(narrow, values) else values.astype(np.float32)
