"""EncoderRegistry by name, with a cache of query vectors."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder.checkpoint.hub import DEFAULT, DEFAULT_NAMES
from retrieval.encoder.loading import load_encoder
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.errors import NotFound
from retrieval.types import Vectors


class CachingEncoder(SentenceEncoder):
    """The same encoder; `encode_queries` keeps the vectors of the last `most` queries.  Safe to call from threads."""

    def __init__(self, encoder: SentenceEncoder, most: int) -> None:
        super().__init__(encoder.folder, encoder.tokenizer, encoder.runtime, encoder.fingerprint, encoder.inspector)
        self._most = most
        self._known: OrderedDict[bytes, NDArray[np.float32]] = OrderedDict()  # by digest: a query may be long
        self._lock = threading.Lock()

    def encode_queries(self, texts: Sequence[str], *, save_cpu: bool = False) -> Vectors:
        """(n, dimension) float32, in the order of `texts`."""
        digests = [_digest(text) for text in texts]
        unknown = {digest: text for digest, text in zip(digests, texts, strict=True) if digest not in self._known}
        vectors = super().encode_queries([*unknown.values()], save_cpu=save_cpu) if unknown else ()
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


REMEMBERED_QUERIES = 4_096
DEFAULT_ALIASES = frozenset({"", "default"})


class EncoderRegistry:
    """Loads encoders on first use.  Safe to call from several threads.

    Callers can name the encoders that the operator or the collections brought in, and no others.
    """

    def __init__(self, runtime: str, precision: str, preferred: str = "") -> None:
        self._runtime = runtime
        self._precision = precision
        self._preferred = preferred
        self._loaded: dict[str, SentenceEncoder] = {}
        self._loading = threading.Lock()  # held while one is loaded, never to look at those that are

    def get(self, name: str) -> SentenceEncoder:
        """The encoder of that name, which comes from the operator or a manifest; encoders are loaded one by one.

        Raises EncoderError.
        """
        name = DEFAULT if name in DEFAULT_NAMES else name
        if name in self._loaded:
            return self._loaded[name]
        with self._loading:
            if name not in self._loaded:
                encoder = load_encoder(name, runtime=self._runtime, precision=self._precision)
                encoder.warm_up()
                self._loaded[name] = CachingEncoder(encoder, REMEMBERED_QUERIES)
            return self._loaded[name]

    def names(self) -> list[str]:
        """Names of the encoders that callers can ask for, the preferred one first."""
        return list(dict.fromkeys([*([self._preferred] if self._preferred else []), *self._loaded])) or [DEFAULT]

    def resolve(self, shown: str) -> str:
        """The name behind what a caller wrote; a name that is not known, or "default", raises or means the first."""
        names = self.names()
        if shown in DEFAULT_ALIASES:
            return names[0]
        if shown in DEFAULT_NAMES:
            shown = DEFAULT
        for name in names:
            if shown == shown_name(name):
                return name
        known = ", ".join(map(shown_name, names))
        raise NotFound(f"no model {shown!r} here; known are {known}, and `default` for the first of them")


def shown_name(name: str) -> str:
    """An encoder's name as callers see it: of a folder on this machine only the last part."""
    return Path(name).name if name.startswith((".", "/", "~")) or name.count("/") > 1 else name
