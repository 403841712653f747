"""Searchers of a collection for searches with any weight of the title.

An index knows where titles end, so that a search chooses their weight.  One of an earlier version does not: there,
another weight needs another lexical index, which a linked copy of the collection gets.  Vectors and documents are
shared, and each query is encoded once.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self, cast

import numpy as np

from indexer.maintenance.change_settings import SettingsChange, change_settings
from indexer.maintenance.linked_copy import linked_copy
from retrieval.encoder.loading import load_recorded_encoder
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.index.storage.manifest import read_manifest
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.types import Vectors


class _CachingEncoder:
    """An encoder that caches query vectors, since all settings use the same queries."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        self._encoder = encoder
        self._known: dict[str, Vectors] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def encode_queries(self, texts: Sequence[str], *, save_cpu: bool = False) -> Vectors:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known.update(zip(new, self._encoder.encode_queries(new, save_cpu=save_cpu), strict=True))
        return np.stack([self._known[text] for text in texts])


class SearchersByTitleWeight:
    """A context that opens the searchers; searches must choose the title weight."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._exit = ExitStack()
        self._opened: dict[float | None, Searcher] = {}

    def __enter__(self) -> Self:
        manifest = read_manifest(self._path)
        lexical = manifest.settings.lexical
        self._own_weight = None if lexical is None else lexical.title_weight
        encoder = _CachingEncoder(load_recorded_encoder(manifest.encoder))
        self._encoder = cast(SentenceEncoder, encoder)  # all other attributes are the encoder's
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def get(self, title_weight: float | None) -> Searcher:
        """Return a searcher that can search with this title weight; None: its own."""
        if title_weight in (None, self._own_weight):
            return self._open(None)
        lexical = self._open(None).reader.lexical
        return self._open(None if lexical is not None and lexical.knows_titles else title_weight)

    def _open(self, weight: float | None) -> Searcher:
        """Return the searcher of the collection, or of its copy with that title weight."""
        if weight not in self._opened:
            path = self._path
            if weight is not None:
                path = self._exit.enter_context(linked_copy(self._path))
                change_settings(path, SettingsChange({"title_weight": weight}))
            self._opened[weight] = self._exit.enter_context(open_searcher(path, encoder=self._encoder))
        return self._opened[weight]
