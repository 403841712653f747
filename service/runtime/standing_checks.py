"""Checks standing queries when a new generation is served."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass

from retrieval.errors import AttendexError, CollectionNotFound, EncoderUnavailable
from retrieval.index.collection.standing_queries import Queries, StandingQuery, change_standing, read_standing
from retrieval.search.searcher import Searcher
from retrieval.search.standing import Updates, check_standing, updates_of
from retrieval.util.work_budget import WorkBudget
from service.observability.logs import LOGGER
from service.runtime.open_collections import OpenCollections


@dataclass(frozen=True, slots=True)
class _Checked:
    """A generation that was checked, and its metadata updates."""

    generation: int
    updates: Updates


class StandingChecks:
    """Checks each new generation of each collection once.  One thread calls it."""

    def __init__(self, collections: OpenCollections) -> None:
        self._collections = collections
        self._checked: dict[str, _Checked] = {}

    def check(self) -> None:
        """Check the collections with a generation that was not checked."""
        for name in self._collections.names():
            with (
                suppress(CollectionNotFound, EncoderUnavailable),
                self._collections.lease(name) as searcher,
                WorkBudget().applied(),
            ):
                known = self._checked.get(name)
                if known is None or known.generation != searcher.reader.manifest.generation:
                    self._check(searcher, known)
                    manifest = searcher.reader.manifest
                    self._checked[name] = _Checked(manifest.generation, updates_of(searcher.reader))
        for name in self._checked.keys() - set(self._collections.names()):
            del self._checked[name]

    def _check(self, searcher: Searcher, known: _Checked | None) -> None:
        """Check all queries of a collection, then store their matches together.

        A query that was saved or replaced meanwhile has seen this generation.
        """
        manifest = searcher.reader.manifest
        found: dict[str, tuple[StandingQuery, list[tuple[str, float]]]] = {}
        for name, query in read_standing(searcher.reader.path).items():
            if query.generation != manifest.generation:
                is_known = known is not None and known.generation == query.generation
                found[name] = query, _matches(searcher, query, known.updates if known and is_known else None)

        def change(queries: Queries) -> Queries:
            for name, (checked, matches) in found.items():
                if name in queries and queries[name].is_same_search(checked):
                    queries[name] = queries[name].found(matches, manifest.generation, manifest.next_key)
            return queries

        if found:
            change_standing(searcher.reader.path, change)


def _matches(searcher: Searcher, query: StandingQuery, before: Updates | None) -> list[tuple[str, float]]:
    """Check a query; log one that no longer fits the collection, without matches.

    Raises EncoderUnavailable: the next call checks the generation again.
    """
    try:
        return check_standing(searcher, query, before)
    except EncoderUnavailable:
        raise
    except AttendexError as error:
        fields = {"collection": searcher.reader.name, "query": query.name, "error": str(error)}
        logging.getLogger(LOGGER).error("a standing query cannot be checked", extra={"fields": fields})
        return []
