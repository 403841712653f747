"""Searchers over several collections, kept while their generations are current."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from retrieval.search.joined_searcher import join_searchers
from retrieval.search.searcher import Searcher

MAX_KEPT = 8  # combinations; each takes some 30 bytes a passage


@dataclass(frozen=True, slots=True)
class _Joined:
    parts: tuple[Searcher, ...]
    searcher: Searcher


class JoinedCollections:
    """Makes and keeps joined searchers.  Thread-safe."""

    def __init__(self) -> None:
        self._kept: dict[str, _Joined] = {}  # by name, the least recently used first
        self._lock = threading.Lock()

    def searcher(self, name: str, parts: Sequence[Searcher]) -> Searcher:
        """Return the searcher over `parts`, which requests call `name`.  Raises BadQuery.

        The callers lease the parts.  A joined searcher stays open while a request uses it.
        """
        with self._lock:
            kept = self._kept.pop(name, None)
            if kept is None or kept.parts != tuple(parts):
                kept = _Joined(tuple(parts), join_searchers(parts))
            self._kept[name] = kept
            while len(self._kept) > MAX_KEPT:
                del self._kept[next(iter(self._kept))]
            return kept.searcher
