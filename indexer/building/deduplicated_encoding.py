"""Encoding equal texts once: a run remembers which texts it has seen lately and where their vectors are."""

from __future__ import annotations

import hashlib
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder.sentence import SentenceEncoder
from retrieval.types import Vectors
from retrieval.util.files import storage_errors

REMEMBERED_TEXTS = 2_000_000  # beyond it the oldest are forgotten, and a repeated text is encoded again


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where each text of a block finds its vector: places count the texts that were encoded in this run."""

    first_new: int
    places: NDArray[np.int64]


class DeduplicatedEncoder:
    """Encodes blocks of passages in order.

    Vectors of the texts that are remembered are kept in an unnamed temporary file, used as a ring: the newest are
    written over the oldest.  Raises StorageError where there is no room for it.
    """

    def __init__(self, encoder: SentenceEncoder) -> None:
        self._encoder = encoder
        self._row_bytes = encoder.dimension * 4
        self._seen: dict[bytes, int] = {}
        self._plans: deque[_Plan] = deque()
        self._folder = Path(tempfile.gettempdir())
        with storage_errors(self._folder):
            self._ring = tempfile.TemporaryFile(prefix="attendex-vectors-")  # noqa: SIM115 (closed by __exit__)
        self.encoded = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # what could not be written is not needed any more
            self._ring.close()

    def encode(self, blocks: Iterable[Sequence[str]]) -> Iterator[Vectors]:
        """The vectors of each block, (texts, dimension), in order."""
        for new in self._encoder.encode_stream(self._new_texts(texts) for texts in blocks):
            plan = self._plans.popleft()
            with storage_errors(self._folder):
                vectors = self._gather(new, plan)
                self._keep(new, plan.first_new)
            yield vectors

    def _new_texts(self, texts: Sequence[str]) -> list[str]:
        """Texts of a block that were not seen before; remembers how to put the block together again."""
        first_new = self.encoded
        new: list[str] = []
        places: list[int] = []
        for text in texts:
            digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
            place = self._seen.get(digest)
            if place is None:
                place = self._seen[digest] = first_new + len(new)
                new.append(text)
            places.append(place)
        self.encoded += len(new)
        self._plans.append(_Plan(first_new, np.array(places, dtype=np.int64)))
        while len(self._seen) > REMEMBERED_TEXTS:
            del self._seen[next(iter(self._seen))]
        return new

    def _keep(self, vectors: Vectors, first: int) -> None:
        """Write the vectors of new texts over those of the texts that are forgotten now."""
        forgotten = max(0, len(vectors) - REMEMBERED_TEXTS)
        first += forgotten
        vectors = np.ascontiguousarray(vectors[forgotten:], dtype=np.float32)
        until_end = REMEMBERED_TEXTS - first % REMEMBERED_TEXTS
        for part, place in ((vectors[:until_end], first), (vectors[until_end:], first + until_end)):
            self._seek(place)
            self._ring.write(part.data)

    def _gather(self, new: Vectors, plan: _Plan) -> Vectors:
        inside = plan.places - plan.first_new
        if len(inside) == len(new):
            return new  # nothing was repeated, so the block is in order as it is
        earlier = np.flatnonzero(inside < 0)
        vectors = np.empty((len(inside), self._encoder.dimension), np.float32)
        vectors[inside >= 0] = new[inside[inside >= 0]]
        for place in earlier.tolist():
            vectors[place] = self._read(int(plan.places[place]))
        return vectors

    def _read(self, place: int) -> NDArray[np.float32]:
        self._seek(place)
        return np.frombuffer(self._ring.read(self._row_bytes), np.float32)

    def _seek(self, place: int) -> None:
        self._ring.seek(place % REMEMBERED_TEXTS * self._row_bytes)
