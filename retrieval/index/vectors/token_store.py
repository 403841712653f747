"""Stored token codes: three memory-mapped `.npy` files in each segment.

`token_codes.npy` has the codes of all tokens, passage after passage; `token_means.npy` the mean of each passage;
`token_ends.npy` the end of each passage among the tokens.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.index.storage.npy import npy_bytes, write_header
from retrieval.index.vectors.token_codes import TokenCodes
from retrieval.types import Rows
from retrieval.util.files import Files, write_file, writing

TOKEN_CODES, TOKEN_MEANS, TOKEN_ENDS = "token_codes.npy", "token_means.npy", "token_ends.npy"
TOKEN_FILES = (TOKEN_CODES, TOKEN_MEANS, TOKEN_ENDS)


class StoredTokens:
    """The token codes of a segment's passages, by row."""

    def __init__(self, codes: NDArray[np.uint8], means: NDArray[np.float16], ends: NDArray[np.uint64]) -> None:
        self._codes = codes
        self._means = means
        self._ends = ends.astype(np.int64)

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def dimension(self) -> int:
        return int(self._means.shape[1])

    @property
    def width(self) -> int:
        """The bytes of a token."""
        return int(self._codes.shape[1])

    def fits(self, passages: int) -> bool:
        """Check that the files belong together and have this many passages."""
        known = (self._codes.dtype == np.uint8, self._means.dtype == np.float16)
        if not all(known) or (self._codes.ndim, self._means.ndim) != (2, 2):
            return False
        if not len(self) == len(self._means) == passages:
            return False
        last = int(self._ends[-1]) if passages else 0
        return last == len(self._codes) and bool(np.all(np.diff(self._ends, prepend=0) >= 0))

    def take(self, rows: Rows) -> TokenCodes:
        """Return the codes of passages, in the order of `rows`."""
        ends = self._ends[rows]
        starts = np.where(rows > 0, self._ends[rows - 1], 0)
        parts = [self._codes[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        codes = np.concatenate(parts) if parts else self._codes[:0]
        return TokenCodes(codes, self._means[rows], ends - starts)


class TokenWriter:
    """Streams the token codes of a segment to disk."""

    def __init__(self, folder: Path, dimension: int, width: int, files: Files) -> None:
        self._folder = folder
        self._dimension = dimension
        self._width = width
        self._files = files
        self._tokens = 0
        self._means: list[NDArray[np.float16]] = []
        self._counts: list[NDArray[np.int64]] = []
        self._open = ExitStack()
        self._file = self._open.enter_context(writing(files, folder / TOKEN_CODES))
        self._write_header()

    def append(self, passages: TokenCodes) -> None:
        """Append the codes of passages."""
        self._file.write(np.ascontiguousarray(passages.codes).data)
        self._tokens += len(passages.codes)
        self._means.append(passages.means)
        self._counts.append(passages.counts)

    def close(self) -> None:
        """Complete the header, sync and close the file, and write the other two."""
        self._write_header()
        self._open.close()
        means = np.concatenate([np.empty((0, self._dimension), np.float16), *self._means])
        ends = np.concatenate([np.empty(0, np.int64), *self._counts]).cumsum()
        write_file(self._files, self._folder / TOKEN_MEANS, npy_bytes(means.astype("<f2")))
        write_file(self._files, self._folder / TOKEN_ENDS, npy_bytes(ends.astype("<u8")))

    def abandon(self) -> None:
        """Close the unfinished file."""
        self._open.__exit__(GeneratorExit, GeneratorExit(), None)

    def _write_header(self) -> None:
        """Write the header, whose padded length does not depend on the tokens."""
        self._file.seek(0)
        write_header(self._file, (self._tokens, self._width), np.uint8)
