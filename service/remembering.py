"""An encoder that remembers the vectors of recent queries.

A vector depends on its batch to the runtime's rounding.  Whoever asks the same query again, alone or under load, gets
the same vector, and so the same scores to the last bit; that the query is not encoded again is welcome, too.
"""

from __future__ import annotations

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
        self._known: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()

    def encode_queries(self, texts: Sequence[str], *, thrifty: bool = False) -> Vectors:
        """(n, dimension) float32, in the order of `texts`."""
        unknown = [text for text in dict.fromkeys(texts) if text not in self._known]
        found = dict(zip(unknown, super().encode_queries(unknown, thrifty=thrifty), strict=True)) if unknown else {}
        with self._lock:
            vectors = [self._remembered(text, found) for text in texts]
        return np.stack(vectors) if vectors else np.zeros((0, self.dimension), dtype=np.float32)

    def _remembered(self, text: str, found: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """The vector that was there first, should two threads have encoded the same query."""
        vector = self._known.pop(text, None)
        if vector is None:
            vector = found[text].copy() if text in found else super().encode_queries([text])[0]
        self._known[text] = vector  # now the last one
        if len(self._known) > self._most:
            self._known.popitem(last=False)
        return vector
