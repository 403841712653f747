"""Stored vectors: a plain `.npy` file in each segment.

The build writes the file as a stream; searches read it through a memory map.  `row_scores` computes every score of a
vector search from the stored vectors, in float32.  The score of a row depends on the row and the query only: not on the
other scored rows, the segment of the row, or the ANN index that found it.  So equal vectors have bit-equal scores, and
the history of a collection does not change its rankings.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from retrieval.errors import CorruptCollection, EncoderError, StorageError
from retrieval.index.storage.npy import read_header, write_header
from retrieval.types import Scores, Vectors
from retrieval.util.files import Files, writing

STORED_TYPES = (np.dtype("<f2"), np.dtype("<f4"))
LONGEST = 1.02  # greatest length of a stored vector: 1 and the rounding of float16
SCORED_ROWS = 4096  # rows scored at once: bounds the float32 copy

StoredVectors = NDArray[np.float16] | NDArray[np.float32]  # (n, dimension)


class VectorWriter:
    """Writes vectors to a `.npy` file in blocks; an error in the context deletes it."""

    def __init__(self, path: Path, dimension: int, dtype: DTypeLike = np.float16, files: Files | None = None) -> None:
        self.path = path
        self.dimension = dimension
        self.dtype = np.dtype(dtype).newbyteorder("<")
        if self.dtype not in STORED_TYPES:
            raise ValueError(f"dtype is {self.dtype}; use float16 or float32")
        self.rows = 0
        self._files = files or Files()
        self._open = ExitStack()
        self._file = self._open.enter_context(writing(self._files, path))
        self._data_start = self._write_header()

    def append(self, block: Vectors) -> None:
        """Append `block`, (n, dimension).  Raises EncoderError for a vector longer than 1."""
        if block.ndim != 2 or block.shape[1] != self.dimension:
            raise ValueError(f"a block has shape {block.shape}; these vectors have {self.dimension} dimensions")
        lengths = np.linalg.norm(block.astype(np.float32, copy=False), axis=1)
        if not np.all(lengths <= LONGEST):  # also False for NaN
            row = int(np.flatnonzero(~(lengths <= LONGEST))[0])
            raise EncoderError(f"vector {self.rows + row} has length {lengths[row]:g}; vectors must have length 1")
        self._file.write(np.ascontiguousarray(block, dtype=self.dtype).data)
        self.rows += len(block)

    def close(self) -> None:
        """Complete the header, sync and close the file.  A second call does nothing."""
        if self._file.closed:
            return
        if self._write_header() != self._data_start:
            raise AssertionError("the .npy header changed its length")
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._open.__exit__(kind, error, trace)
            self._files.unlink(self.path)

    def _write_header(self) -> int:
        """Write the header, whose padded length does not depend on the rows."""
        self._file.seek(0)
        write_header(self._file, (self.rows, self.dimension), self.dtype)
        return self._file.tell()


def open_vectors(path: Path) -> StoredVectors:
    """Map the vectors of `path`, (n, dimension), read-only.  Raises CorruptCollection."""
    try:
        with path.open("rb") as file:
            header = read_header(file)
            size = path.stat().st_size
    except FileNotFoundError as error:
        raise CorruptCollection(
            "the file of vectors is missing; restore the collection or index again", path=path
        ) from error
    except OSError as error:
        raise StorageError(f"cannot read vectors: {error.strerror}", path=path) from error
    except ValueError as error:
        raise CorruptCollection(f"not a file of vectors ({error}); restore it or index again", path=path) from error
    shape, dtype = header.shape, header.dtype
    if len(shape) != 2 or dtype not in STORED_TYPES:
        raise CorruptCollection(f"has {dtype} of shape {shape}, not rows of float16 or float32; index again", path=path)
    expected = header.size_bytes + shape[0] * shape[1] * dtype.itemsize
    if size != expected:
        raise CorruptCollection(f"has {size} bytes instead of {expected}; restore it or index again", path=path)
    if shape[0] == 0:
        return np.empty(shape, dtype)
    return np.memmap(path, dtype=dtype, mode="r", offset=header.size_bytes, shape=shape)


def row_scores(query: NDArray[np.float32], vectors: StoredVectors) -> Scores:
    """Return the inner products of `query`, (dimension,), with each row of `vectors`.

    numpy's pairwise sum along the last axis adds up every row alone and in the same order.  A matrix product groups
    rows, so that the rounding of a row depends on the other rows.
    """
    scores = np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), SCORED_ROWS):
        block = np.asarray(vectors[start : start + SCORED_ROWS], dtype=np.float32)
        np.sum(block * query, axis=1, out=scores[start : start + SCORED_ROWS])
    return scores
