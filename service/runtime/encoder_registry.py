"""Encoders by name, each loaded once and shared by the collections that it made."""

from __future__ import annotations

import threading
from pathlib import Path

from retrieval.encoder.checkpoint.hub import DEFAULT, DEFAULT_NAMES
from retrieval.encoder.loading import load_encoder
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.errors import NotFound
from service.runtime.query_vector_cache import RememberingEncoder

REMEMBERED_QUERIES = 4_096
DEFAULT_ALIASES = frozenset({"", "default"})


class Encoders:
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
                encoder.warm()
                self._loaded[name] = RememberingEncoder(encoder, REMEMBERED_QUERIES)
            return self._loaded[name]

    def names(self) -> list[str]:
        """Names of the encoders that callers can ask for, the preferred one first."""
        return list(dict.fromkeys([*([self._preferred] if self._preferred else []), *self._loaded])) or [DEFAULT]

    def asked(self, shown: str) -> str:
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
