"""Standing queries: saved searches, checked against new documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .answers.standing import StandingAnswer, StandingListAnswer, StandingMatchesAnswer
from .calls import Call, path_of, reads, reads_nothing
from .connection import AsyncConnection, Connection
from .options import ModeName


def _standing(collection: str) -> Call[list[StandingAnswer]]:
    path = path_of(collection, "standing")
    return Call("GET", path, lambda r: StandingListAnswer.model_validate_json(r.content).standing)


def _save(collection: str, name: str, body: Mapping[str, Any]) -> Call[StandingAnswer]:
    return Call("PUT", path_of(collection, "standing", name), reads(StandingAnswer), body)


def _delete(collection: str, name: str) -> Call[None]:
    return Call("DELETE", path_of(collection, "standing", name), reads_nothing)


def _matches(collection: str, name: str, after: int, limit: int) -> Call[StandingMatchesAnswer]:
    params = {"after": after, "limit": limit}
    return Call("GET", path_of(collection, "standing", name, "matches"), reads(StandingMatchesAnswer), params=params)


def _body(
    query: str, filter_: str, mode: ModeName | None, min_score: float | None, webhook: str | None
) -> dict[str, Any]:
    address = {"url": webhook} if webhook else None
    return {"query": query, "filter": filter_, "mode": mode, "min_score": min_score, "webhook": address}


class StandingQueries(Connection):
    """The standing queries of a synchronous client."""

    def standing(self, collection: str) -> list[StandingAnswer]:
        """Return the standing queries of a collection, the oldest first."""
        return self._send(_standing(collection))

    def save_standing(
        self,
        collection: str,
        name: str,
        query: str,
        *,
        filter: str = "",
        mode: ModeName | None = None,
        min_score: float | None = None,
        webhook: str | None = None,
    ) -> StandingAnswer:
        """Save a search, or replace it; its matches so far stay.

        `webhook` is the address that gets the matches; the first answer has its secret.
        """
        return self._send(_save(collection, name, _body(query, filter, mode, min_score, webhook)))

    def delete_standing(self, collection: str, name: str) -> None:
        """Delete a standing query with its matches."""
        self._send(_delete(collection, name))

    def standing_matches(
        self, collection: str, name: str, after: int = 0, *, limit: int = 100
    ) -> StandingMatchesAnswer:
        """Return the matches after this number, in their order."""
        return self._send(_matches(collection, name, after, limit))


class AsyncStandingQueries(AsyncConnection):
    """The standing queries of a client for asyncio."""

    async def standing(self, collection: str) -> list[StandingAnswer]:
        """Return the standing queries of a collection, the oldest first."""
        return await self._send(_standing(collection))

    async def save_standing(
        self,
        collection: str,
        name: str,
        query: str,
        *,
        filter: str = "",
        mode: ModeName | None = None,
        min_score: float | None = None,
        webhook: str | None = None,
    ) -> StandingAnswer:
        """Save a search, or replace it; its matches so far stay.

        `webhook` is the address that gets the matches; the first answer has its secret.
        """
        return await self._send(_save(collection, name, _body(query, filter, mode, min_score, webhook)))

    async def delete_standing(self, collection: str, name: str) -> None:
        """Delete a standing query with its matches."""
        await self._send(_delete(collection, name))

    async def standing_matches(
        self, collection: str, name: str, after: int = 0, *, limit: int = 100
    ) -> StandingMatchesAnswer:
        """Return the matches after this number, in their order."""
        return await self._send(_matches(collection, name, after, limit))
