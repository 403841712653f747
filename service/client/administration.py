"""Collections: list, describe, create and drop them; their synonyms and pins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .answers.collections import CollectionAnswer, CollectionDetails, CollectionsAnswer
from .answers.overview import OverviewAnswer
from .answers.pins import PinsAnswer
from .answers.synonyms import SynonymsAnswer
from .calls import Call, path_of, reads, reads_nothing
from .connection import AsyncConnection, Connection
from .options import PinRequest, SynonymRequest


def _collections() -> Call[list[CollectionAnswer]]:
    return Call("GET", "/v1/collections", lambda r: CollectionsAnswer.model_validate_json(r.content).collections)


def _collection(name: str) -> Call[CollectionDetails]:
    return Call("GET", path_of(name), reads(CollectionDetails))


def _create(name: str, encoder: str, fields: Mapping[str, str] | None, expires: str) -> Call[CollectionDetails]:
    body = {"encoder": encoder, "fields": fields, "expires": expires}
    return Call("PUT", path_of(name), reads(CollectionDetails), body)


def _drop(name: str) -> Call[None]:
    return Call("DELETE", path_of(name), reads_nothing)


def _overview(name: str) -> Call[OverviewAnswer]:
    return Call("GET", path_of(name, "overview"), reads(OverviewAnswer))


def _synonyms(name: str) -> Call[SynonymsAnswer]:
    return Call("GET", path_of(name, "synonyms"), reads(SynonymsAnswer))


def _replace_synonyms(name: str, rules: Sequence[SynonymRequest]) -> Call[SynonymsAnswer]:
    return Call("PUT", path_of(name, "synonyms"), reads(SynonymsAnswer), {"synonyms": rules})


def _pins(name: str) -> Call[PinsAnswer]:
    return Call("GET", path_of(name, "pins"), reads(PinsAnswer))


def _replace_pins(name: str, rules: Sequence[PinRequest]) -> Call[PinsAnswer]:
    return Call("PUT", path_of(name, "pins"), reads(PinsAnswer), {"pins": rules})


class Administration(Connection):
    """The collections of a synchronous client."""

    def collections(self) -> list[CollectionAnswer]:
        """Return all collections, by name."""
        return self._send(_collections())

    def collection(self, name: str) -> CollectionDetails:
        """Return the details of a collection."""
        return self._send(_collection(name))

    def create(
        self, name: str, encoder: str = "default", fields: Mapping[str, str] | None = None, expires: str = ""
    ) -> CollectionDetails:
        """Create an empty collection; `expires` names the date field of expiry."""
        return self._send(_create(name, encoder, fields, expires))

    def drop(self, name: str) -> None:
        """Remove a collection and all its documents."""
        self._send(_drop(name))

    def overview(self, collection: str) -> OverviewAnswer:
        """Return the fields, their most frequent values, and the kept generations."""
        return self._send(_overview(collection))

    def synonyms(self, collection: str) -> SynonymsAnswer:
        """Return the synonyms of a collection."""
        return self._send(_synonyms(collection))

    def replace_synonyms(self, collection: str, rules: Sequence[SynonymRequest]) -> SynonymsAnswer:
        """Make a generation with these rules of synonyms."""
        return self._send(_replace_synonyms(collection, rules))

    def pins(self, collection: str) -> PinsAnswer:
        """Return the pins of a collection."""
        return self._send(_pins(collection))

    def replace_pins(self, collection: str, rules: Sequence[PinRequest]) -> PinsAnswer:
        """Make a generation with these pins."""
        return self._send(_replace_pins(collection, rules))


class AsyncAdministration(AsyncConnection):
    """The collections of a client for asyncio."""

    async def collections(self) -> list[CollectionAnswer]:
        """Return all collections, by name."""
        return await self._send(_collections())

    async def collection(self, name: str) -> CollectionDetails:
        """Return the details of a collection."""
        return await self._send(_collection(name))

    async def create(
        self, name: str, encoder: str = "default", fields: Mapping[str, str] | None = None, expires: str = ""
    ) -> CollectionDetails:
        """Create an empty collection; `expires` names the date field of expiry."""
        return await self._send(_create(name, encoder, fields, expires))

    async def drop(self, name: str) -> None:
        """Remove a collection and all its documents."""
        await self._send(_drop(name))

    async def overview(self, collection: str) -> OverviewAnswer:
        """Return the fields, their most frequent values, and the kept generations."""
        return await self._send(_overview(collection))

    async def synonyms(self, collection: str) -> SynonymsAnswer:
        """Return the synonyms of a collection."""
        return await self._send(_synonyms(collection))

    async def replace_synonyms(self, collection: str, rules: Sequence[SynonymRequest]) -> SynonymsAnswer:
        """Make a generation with these rules of synonyms."""
        return await self._send(_replace_synonyms(collection, rules))

    async def pins(self, collection: str) -> PinsAnswer:
        """Return the pins of a collection."""
        return await self._send(_pins(collection))

    async def replace_pins(self, collection: str, rules: Sequence[PinRequest]) -> PinsAnswer:
        """Make a generation with these pins."""
        return await self._send(_replace_pins(collection, rules))
