"""Stored windows: vectors of a few sentences each, inside passages.

Three memory-mapped `.npy` files in each segment: `window_vectors.npy` has the vectors, passage after passage;
`window_spans.npy` the offsets of each window in its document's text; `window_ends.npy` the end of each passage among
the windows.  A passage of few sentences has no window.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from retrieval.index.storage.npy import npy_bytes
from retrieval.index.vectors.store import StoredVectors, VectorWriter
from retrieval.types import Rows, Vectors
from retrieval.util.arrays import ranges
from retrieval.util.files import Files, write_file

WINDOW_VECTORS, WINDOW_SPANS, WINDOW_ENDS = "window_vectors.npy", "window_spans.npy", "window_ends.npy"
WINDOW_FILES = (WINDOW_VECTORS, WINDOW_SPANS, WINDOW_ENDS)


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows of some passages, passage after passage."""

    vectors: Vectors  # (windows, dimension)
    spans: NDArray[np.uint32]  # (windows, 2): code points [start, end) of the document's text
    counts: NDArray[np.int64]  # (passages,)


class StoredWindows:
    """The windows of a segment's passages, by row."""

    def __init__(self, vectors: StoredVectors, spans: NDArray[np.uint32], ends: NDArray[np.uint64]) -> None:
        self.vectors = vectors
        self.spans = spans
        self.ends: Rows = ends.astype(np.int64)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """The number of windows of each passage, (passages,)."""
        return np.diff(self.ends, prepend=0)

    def fits(self, passages: int) -> bool:
        """Check that the files belong together and have this many passages."""
        windows = int(self.ends[-1]) if len(self.ends) else 0
        shapes = (self.spans.shape == (windows, 2), len(self.vectors) == windows, len(self.ends) == passages)
        return all(shapes) and bool(np.all(self.counts >= 0))

    def take(self, rows: Rows) -> Windows:
        """Return the windows of passages, in the order of `rows`."""
        counts = self.counts[rows]
        positions = ranges(self.ends[rows] - counts, counts)
        return Windows(np.asarray(self.vectors[positions], dtype=np.float32), self.spans[positions], counts)


class WindowWriter:
    """Streams the windows of a segment to disk; an error in the context deletes them."""

    def __init__(self, folder: Path, dimension: int, dtype: str, files: Files) -> None:
        self._folder = folder
        self._files = files
        self._vectors = VectorWriter(folder / WINDOW_VECTORS, dimension, dtype, files)
        self._spans: list[NDArray[np.uint32]] = [np.empty((0, 2), np.uint32)]
        self._counts: list[NDArray[np.int64]] = [np.empty(0, np.int64)]

    def append(self, windows: Windows) -> None:
        """Append the windows of passages.  Raises EncoderError for a vector longer than 1."""
        self._vectors.append(windows.vectors)
        self._spans.append(windows.spans)
        self._counts.append(windows.counts)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._vectors.__exit__(kind, error, trace)
        if kind is None:
            ends = np.concatenate(self._counts).cumsum()
            write_file(self._files, self._folder / WINDOW_SPANS, npy_bytes(np.concatenate(self._spans).astype("<u4")))
            write_file(self._files, self._folder / WINDOW_ENDS, npy_bytes(ends.astype("<u8")))
