"""An encoder that remembers the vectors of recent queries.

A vector depends on its batch to the runtime's rounding.  Whoever asks the same query again, alone or under load, gets
the same vector, and so the same scores to the last bit; that the query is not encoded again is welcome, too.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder.sentence import SentenceEncoder
from retrieval.types import Vectors


class RememberingEncoder(SentenceEncoder):
    """The same encoder; `encode_queries` keeps the vectors of the last `most` queries.  Safe to call from threads."""

    def __init__(self, encoder: SentenceEncoder, most: int) -> None:
        super().__init__(encoder.folder, encoder.tokenizer, encoder.runtime, encoder.fingerprint)
        self._most = most
        self._known: OrderedDict[bytes, NDArray[np.float32]] = OrderedDict()  # by digest: a query may be long
        self._lock = threading.Lock()

    def encode_queries(self, texts: Sequence[str], *, thrifty: bool = False) -> Vectors:
        """(n, dimension) float32, in the order of `texts`."""
        digests = [_digest(text) for text in texts]
        unknown = {digest: text for digest, text in zip(digests, texts, strict=True) if digest not in self._known}
        vectors = super().encode_queries([*unknown.values()], thrifty=thrifty) if unknown else ()
        found = dict(zip(unknown, vectors, strict=True))
        with self._lock:
            remembered = [self._remembered(digest, text, found) for digest, text in zip(digests, texts, strict=True)]
        return np.stack(remembered) if remembered else np.zeros((0, self.dimension), dtype=np.float32)

    def _remembered(self, digest: bytes, text: str, found: dict[bytes, NDArray[np.float32]]) -> NDArray[np.float32]:
        """The vector that was there first, should two threads have encoded the same query."""
        vector = self._known.pop(digest, None)
        if vector is None:
            vector = found[digest].copy() if digest in found else super().encode_queries([text])[0]
        self._known[digest] = vector  # now the last one
        if len(self._known) > self._most:
            self._known.popitem(last=False)
        return vector


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
