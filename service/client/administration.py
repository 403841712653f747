"""Collections: list, describe, create and drop them; aliases, synonyms and pins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .answers.aliases import AliasesAnswer
from .answers.collections import CollectionAnswer, CollectionDetails, CollectionsAnswer
from .answers.overview import OverviewAnswer
from .answers.pins import PinsAnswer
from .answers.sync import SyncAnswer
from .answers.synonyms import SynonymsAnswer
from .calls import Call, path_of, reads, reads_nothing, segment
from .connection import AsyncConnection, Connection
from .options import PinRequest, SynonymRequest


def _collections() -> Call[list[CollectionAnswer]]:
    return Call("GET", "/v1/collections", lambda r: CollectionsAnswer.model_validate_json(r.content).collections)


def _collection(name: str) -> Call[CollectionDetails]:
    return Call("GET", path_of(name), reads(CollectionDetails))


def _create(name: str, settings: Mapping[str, Any]) -> Call[CollectionDetails]:
    return Call("PUT", path_of(name), reads(CollectionDetails), settings)


def _drop(name: str) -> Call[None]:
    return Call("DELETE", path_of(name), reads_nothing)


def _overview(name: str) -> Call[OverviewAnswer]:
    return Call("GET", path_of(name, "overview"), reads(OverviewAnswer))


def _sync_state(name: str) -> Call[SyncAnswer]:
    return Call("GET", path_of(name, "sync"), reads(SyncAnswer))


def _aliases() -> Call[dict[str, str]]:
    return Call("GET", "/v1/aliases", lambda r: AliasesAnswer.model_validate_json(r.content).aliases)


def _set_alias(alias: str, collection: str) -> Call[None]:
    return Call("PUT", f"/v1/aliases/{segment(alias)}", reads_nothing, {"collection": collection})


def _remove_alias(alias: str) -> Call[None]:
    return Call("DELETE", f"/v1/aliases/{segment(alias)}", reads_nothing)


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
        self,
        name: str,
        encoder: str = "default",
        fields: Mapping[str, str] | None = None,
        expires: str = "",
        *,
        searched_fields: Mapping[str, float] | None = None,
    ) -> CollectionDetails:
        """Create an empty collection; `expires` names the date field of expiry.

        The words of `searched_fields` are searched, too, with these weights.
        """
        settings = {"encoder": encoder, "fields": fields, "expires": expires, "searched_fields": searched_fields or {}}
        return self._send(_create(name, settings))

    def drop(self, name: str) -> None:
        """Remove a collection and all its documents."""
        self._send(_drop(name))

    def overview(self, collection: str) -> OverviewAnswer:
        """Return the fields, their most frequent values, and the kept generations."""
        return self._send(_overview(collection))

    def sync_state(self, collection: str) -> SyncAnswer:
        """Return when each source was read last, when it is due, and its error."""
        return self._send(_sync_state(collection))

    def aliases(self) -> dict[str, str]:
        """Return all aliases, each with its collection."""
        return self._send(_aliases())

    def set_alias(self, alias: str, collection: str) -> None:
        """Let an alias name this collection from now on."""
        self._send(_set_alias(alias, collection))

    def remove_alias(self, alias: str) -> None:
        """Remove an alias; its collection stays."""
        self._send(_remove_alias(alias))

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
        self,
        name: str,
        encoder: str = "default",
        fields: Mapping[str, str] | None = None,
        expires: str = "",
        *,
        searched_fields: Mapping[str, float] | None = None,
    ) -> CollectionDetails:
        """Create an empty collection; `expires` names the date field of expiry.

        The words of `searched_fields` are searched, too, with these weights.
        """
        settings = {"encoder": encoder, "fields": fields, "expires": expires, "searched_fields": searched_fields or {}}
        return await self._send(_create(name, settings))

    async def drop(self, name: str) -> None:
        """Remove a collection and all its documents."""
        await self._send(_drop(name))

    async def overview(self, collection: str) -> OverviewAnswer:
        """Return the fields, their most frequent values, and the kept generations."""
        return await self._send(_overview(collection))

    async def sync_state(self, collection: str) -> SyncAnswer:
        """Return when each source was read last, when it is due, and its error."""
        return await self._send(_sync_state(collection))

    async def aliases(self) -> dict[str, str]:
        """Return all aliases, each with its collection."""
        return await self._send(_aliases())

    async def set_alias(self, alias: str, collection: str) -> None:
        """Let an alias name this collection from now on."""
        await self._send(_set_alias(alias, collection))

    async def remove_alias(self, alias: str) -> None:
        """Remove an alias; its collection stays."""
        await self._send(_remove_alias(alias))

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
