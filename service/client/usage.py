"""The query log: record clicks, compare settings by clicks, list queries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .answers.query_log import LoggedQueriesAnswer
from .answers.search import SearchAnswer
from .calls import Call, path_of, reads, reads_nothing
from .connection import AsyncConnection, Connection
from .options import SearchOptions


def _click(name: str, query_id: str, document_id: str, position: int) -> Call[None]:
    body = {"query_id": query_id, "document": document_id, "position": position}
    return Call("POST", path_of(name, "events"), reads_nothing, body)


def _interleaved(name: str, comparison: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Call[SearchAnswer]:
    body = {"name": comparison, "a": a, "b": b}
    return Call("POST", path_of(name, "search/interleaved"), reads(SearchAnswer), body)


def _queries(name: str, problem: str, k: int) -> Call[LoggedQueriesAnswer]:
    return Call("GET", path_of(name, "queries"), reads(LoggedQueriesAnswer), params={"problem": problem, "k": k})


class Usage(Connection):
    """The query log of a synchronous client."""

    def click(self, collection: str, query_id: str, document_id: str, position: int) -> None:
        """Record a click on a hit; `query_id` is that of the answer, `position` the rank."""
        self._send(_click(collection, query_id, document_id, position))

    def search_interleaved(
        self, collection: str, name: str, query: str, a: SearchOptions, b: SearchOptions, *, k: int = 10
    ) -> SearchAnswer:
        """Return the hits of two settings by turns, to compare them by clicks.

        `name` is that of the comparison in the query log; `attendex interleaved` counts its clicks.
        """
        same = {"query": query, "k": k}
        return self._send(_interleaved(collection, name, {**same, **a}, {**same, **b}))

    def queries(self, collection: str, problem: str = "", k: int = 50) -> LoggedQueriesAnswer:
        """Return the queries of the log, or those with `zero_hits`, `low_confidence`."""
        return self._send(_queries(collection, problem, k))


class AsyncUsage(AsyncConnection):
    """The query log of a client for asyncio."""

    async def click(self, collection: str, query_id: str, document_id: str, position: int) -> None:
        """Record a click on a hit; `query_id` is that of the answer, `position` the rank."""
        await self._send(_click(collection, query_id, document_id, position))

    async def search_interleaved(
        self, collection: str, name: str, query: str, a: SearchOptions, b: SearchOptions, *, k: int = 10
    ) -> SearchAnswer:
        """Return the hits of two settings by turns, to compare them by clicks.

        `name` is that of the comparison in the query log; `attendex interleaved` counts its clicks.
        """
        same = {"query": query, "k": k}
        return await self._send(_interleaved(collection, name, {**same, **a}, {**same, **b}))

    async def queries(self, collection: str, problem: str = "", k: int = 50) -> LoggedQueriesAnswer:
        """Return the queries of the log, or those with `zero_hits`, `low_confidence`."""
        return await self._send(_queries(collection, problem, k))
