"""Encoders by name, with a cache of query vectors.

Each encoder is loaded once and shared by the collections that it made. A vector depends on its batch, to the rounding
of the runtime. With the cache the same query gets the same vector, alone or under load, and so the same scores to the
last bit; and a repeated query is not encoded again.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder.checkpoint.hub import DEFAULT, DEFAULT_NAMES, find_offline, locate, recorded_name
from retrieval.encoder.checkpoint.presets import PRESETS
from retrieval.encoder.loading import AUTO, load_encoder, load_recorded_encoder
from retrieval.encoder.remote.access import RemoteAccess
from retrieval.encoder.remote.spec import parse_remote
from retrieval.encoder.runtime.base import Precision
from retrieval.encoder.sentence import SentenceEncoder, WrappedEncoder
from retrieval.encoder.sparse import SparseEncoder, load_sparse_encoder
from retrieval.errors import EncoderError, NotFound
from retrieval.types import EncoderFingerprint, Vectors
from retrieval.util.remote_names import is_remote
from service.runtime.process import give_back_memory


class CachingEncoder(WrappedEncoder):
    """An encoder that keeps the vectors of the last `capacity` queries.  Thread-safe."""

    def __init__(self, encoder: SentenceEncoder, capacity: int) -> None:
        super().__init__(encoder)
        self._capacity = capacity
        self._vectors: OrderedDict[bytes, NDArray[np.float32]] = OrderedDict()  # by digest, because a query may be long
        self._lock = threading.Lock()

    def encode_queries(self, texts: Sequence[str], *, save_cpu: bool = False) -> Vectors:
        """Return the vectors, (n, dimension) float32, in the order of `texts`."""
        digests = [_digest(text) for text in texts]
        unknown = {digest: text for digest, text in zip(digests, texts, strict=True) if digest not in self._vectors}
        vectors = super().encode_queries([*unknown.values()], save_cpu=save_cpu) if unknown else ()
        found = dict(zip(unknown, vectors, strict=True))
        with self._lock:
            cached = [self._cached(digest, text, found) for digest, text in zip(digests, texts, strict=True)]
        return np.stack(cached) if cached else np.zeros((0, self.dimension), dtype=np.float32)

    def _cached(self, digest: bytes, text: str, found: dict[bytes, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the vector that was cached first: two threads may encode one query."""
        vector = self._vectors.pop(digest, None)
        if vector is None:
            vector = found[digest].copy() if digest in found else super().encode_queries([text])[0]
        self._vectors[digest] = vector  # the most recent one
        if len(self._vectors) > self._capacity:
            self._vectors.popitem(last=False)
        return vector


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


CACHED_QUERIES = 4_096
IDLE_SECONDS = 300.0
DEFAULT_ALIASES = frozenset({"", "default"})


class HubFetches:
    """Fetches encoders from the hub on threads of their own.  Thread-safe.

    A hub that does not answer thus delays only the collections that need it.
    """

    def __init__(self) -> None:
        self._fetches: dict[str, Future[Path]] = {}
        self._lock = threading.Lock()

    def require(self, name: str) -> None:
        """Check that an encoder is on this machine; raise EncoderError while it is not."""
        with self._lock:
            fetch = self._fetches.get(name)
            if fetch is None and find_offline(name) is not None:
                return
            fetch = fetch or self._start(name)
            if not fetch.done():
                raise EncoderError(
                    f"the encoder {name!r} is not on this machine and is being fetched from the hub; "
                    "its collections open when it is here"
                )
            del self._fetches[name]
        fetch.result()

    def _start(self, name: str) -> Future[Path]:
        fetch = self._fetches[name] = Future[Path]()

        def run() -> None:
            try:
                fetch.set_result(locate(name))
            except Exception as error:
                fetch.set_exception(error)

        threading.Thread(target=run, name=f"hub-{name}", daemon=True).start()  # a silent hub must not delay the end
        return fetch


class EncoderRegistry:
    """Loads the encoders of settings and collections on first use.  Thread-safe."""

    def __init__(
        self,
        runtime: str,
        precision: str,
        preferred: str = "",
        access: RemoteAccess | None = None,
        *,
        warm_later: bool = False,
    ) -> None:
        """Load nothing yet.

        `warm_later` lets an encoder work before its usual shapes are compiled.
        """
        self._access = access
        self._runtime = runtime
        self._warm_later = warm_later
        self._precision = precision
        self._preferred = recorded_name(preferred) if preferred else ""
        self._loaded: dict[str, SentenceEncoder] = {}
        self._sparse: dict[str, SparseEncoder] = {}
        self._fetches = HubFetches()
        self._loading = threading.Lock()  # held while an encoder is loaded, not to read the loaded ones

    def get(self, name: str, *, fetch: bool = False) -> SentenceEncoder:
        """Load the named encoder, one at a time, and return it.  Raises EncoderError.

        An encoder that only the hub has is fetched in the background, unless `fetch` waits for it: until it is here,
        the call raises.
        """
        name = DEFAULT if name in DEFAULT_NAMES else recorded_name(name)
        if name in self._loaded:
            return self._loaded[name]
        if not fetch and not is_remote(name):
            self._fetches.require(name)
        with self._loading:
            if name not in self._loaded:
                self._loaded[name] = self._load(name)
            return self._loaded[name]

    def recorded(self, made_by: EncoderFingerprint) -> SentenceEncoder:
        """Load the encoder that a collection records; a remote one without a request.

        Raises EncoderError, also for a remote encoder whose origin the settings do not allow.
        """
        if not is_remote(made_by.name) or made_by.name in self._loaded:
            return self.get(made_by.name)
        with self._loading:
            encoder = load_recorded_encoder(made_by, access=self._access)
            return self._loaded.setdefault(made_by.name, CachingEncoder(encoder, CACHED_QUERIES))

    def _load(self, name: str) -> SentenceEncoder:
        runtime, precision = (AUTO, AUTO) if is_remote(name) else (self._runtime, self._precision)
        encoder = load_encoder(name, runtime=runtime, precision=precision, access=self._access)
        self._warm_up(encoder)
        return CachingEncoder(encoder, CACHED_QUERIES)

    def _warm_up(self, encoder: SentenceEncoder) -> None:
        if not self._warm_later:
            encoder.warm_up()
            return

        def run() -> None:
            encoder.warm_up()
            give_back_memory()

        threading.Thread(target=run, name="attendex-warm-up", daemon=True).start()

    def sparse(self, name: str) -> SparseEncoder:
        """Load the named sparse encoder, and return it.  Raises EncoderError."""
        with self._loading:
            if name not in self._sparse:
                precision = AUTO if self._precision == Precision.INT8 else self._precision
                self._sparse[name] = load_sparse_encoder(name, runtime=self._runtime, precision=precision)
            return self._sparse[name]

    def release_idle(self) -> None:
        """Free the memory of explanations that are idle."""
        for encoder in list(self._loaded.values()):
            if encoder.inspector is not None:
                encoder.inspector.release(IDLE_SECONDS)

    def names(self) -> list[str]:
        """Return the names of the encoders that callers can use, the preferred one first."""
        return list(dict.fromkeys([*([self._preferred] if self._preferred else []), *self._loaded])) or [DEFAULT]

    def resolve(self, shown: str) -> str:
        """Return the encoder of a caller's name; "default": the first.  Raises NotFound."""
        names = self.names()
        if shown in DEFAULT_ALIASES:
            return names[0]
        if shown in DEFAULT_NAMES:
            shown = DEFAULT
        elif shown in PRESETS:
            shown = recorded_name(shown)
        for name in names:
            if shown == shown_name(name):
                return name
        known = ", ".join(map(shown_name, names))
        raise NotFound(f"no model {shown!r} here; use one of {known}, or `default` for the first of them")


def shown_name(name: str) -> str:
    """Return a name for callers: of a folder the last part, of a URL the model."""
    if is_remote(name):
        spec = parse_remote(name)
        return spec.model or spec.kind
    return Path(name).name if name.startswith((".", "/", "~")) or name.count("/") > 1 else name
