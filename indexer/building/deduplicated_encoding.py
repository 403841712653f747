"""Encode equal texts once.

A run remembers its texts, and where their vectors are.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder.sentence import SentenceEncoder
from retrieval.types import Vectors
from retrieval.util.files import storage_errors

P = TypeVar("P")

REMEMBERED_TEXTS = 2_000_000  # the oldest texts beyond it are forgotten; a repeated one is encoded again


@dataclass(frozen=True, slots=True)
class _PlannedBlock(Generic[P]):
    """A block of texts.

    `positions` tells each text's vector: it counts the texts that this run encoded.
    """

    payload: P
    first_new: int
    positions: NDArray[np.int64]


class DeduplicatedEncoder:
    """Encodes blocks of passages in order, and each text once.

    The vectors of remembered texts are in an unnamed temporary file, used as a ring buffer: the newest overwrite the
    oldest.  Raises StorageError if the disk has no space for it.
    """

    def __init__(self, encoder: SentenceEncoder) -> None:
        self.encoder = encoder
        self.encoded = 0
        self._row_bytes = encoder.dimension * 4
        self._known: dict[bytes, int] = {}  # position of a text by its digest, oldest first
        self._folder = Path(tempfile.gettempdir())
        with storage_errors(self._folder):
            self._ring = tempfile.TemporaryFile(prefix="attendex-vectors-")  # noqa: SIM115 (closed by __exit__)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # a failed write no longer matters
            self._ring.close()

    def encode(self, blocks: Iterable[tuple[P, Sequence[str]]]) -> Iterator[tuple[P, Vectors]]:
        """Yield each block's payload and vectors, (texts, dimension), in order."""
        for block, new in self.encoder.encode_stream(self._plan(payload, texts) for payload, texts in blocks):
            with storage_errors(self._folder):
                vectors = self._gather(new, block)
                self._keep(new, block.first_new)
            yield block.payload, vectors

    def _plan(self, payload: P, texts: Sequence[str]) -> tuple[_PlannedBlock[P], list[str]]:
        """Return the plan of a block, and those of its texts that must be encoded."""
        first_new = self.encoded
        new: list[str] = []
        positions: list[int] = []
        for text in texts:
            digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
            position = self._known.get(digest)
            if position is None:
                position = self._known[digest] = first_new + len(new)
                new.append(text)
            positions.append(position)
        self.encoded += len(new)
        while len(self._known) > REMEMBERED_TEXTS:
            del self._known[next(iter(self._known))]
        return _PlannedBlock(payload, first_new, np.array(positions, dtype=np.int64)), new

    def _keep(self, vectors: Vectors, first: int) -> None:
        """Write the vectors of new texts over those of forgotten texts."""
        skipped = max(0, len(vectors) - REMEMBERED_TEXTS)
        first += skipped
        vectors = np.ascontiguousarray(vectors[skipped:], dtype=np.float32)
        until_end = REMEMBERED_TEXTS - first % REMEMBERED_TEXTS
        for part, position in ((vectors[:until_end], first), (vectors[until_end:], first + until_end)):
            self._seek(position)
            self._ring.write(part.data)

    def _gather(self, new: Vectors, block: _PlannedBlock[P]) -> Vectors:
        rows = block.positions - block.first_new
        if len(rows) == len(new):
            return new  # no text was repeated
        vectors = np.empty((len(rows), self.encoder.dimension), np.float32)
        vectors[rows >= 0] = new[rows[rows >= 0]]
        for row in np.flatnonzero(rows < 0).tolist():
            vectors[row] = self._read(int(block.positions[row]))
        return vectors

    def _read(self, position: int) -> NDArray[np.float32]:
        self._seek(position)
        return np.frombuffer(self._ring.read(self._row_bytes), np.float32)

    def _seek(self, position: int) -> None:
        self._ring.seek(position % REMEMBERED_TEXTS * self._row_bytes)
