"""Searches: in one collection or several, by a query or by a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from .answers.context import ContextAnswer
from .answers.explanations import ExplanationAnswer
from .answers.facets import FacetValuesAnswer
from .answers.search import BatchAnswer, SearchAnswer
from .answers.suggestions import SuggestAnswer
from .calls import Call, path_of, reads
from .connection import AsyncConnection, Connection
from .options import ExplainOptions, SearchOptions, UnitName


def _search(name: str | Sequence[str], query: str, options: SearchOptions) -> Call[SearchAnswer]:
    body = {"query": query, **options}
    if isinstance(name, str):
        return Call("POST", path_of(name, "search"), reads(SearchAnswer), body)
    return Call("POST", "/v1/search", reads(SearchAnswer), {**body, "collections": name})


def _search_batch(name: str, queries: Sequence[str], options: SearchOptions) -> Call[list[SearchAnswer]]:
    body = {"searches": [{"query": query, **options} for query in queries]}
    path = path_of(name, "search/batch")
    return Call("POST", path, lambda r: BatchAnswer.model_validate_json(r.content).results, body)


def _similar(name: str, document_id: str, options: SearchOptions) -> Call[SearchAnswer]:
    like = [document_id, *options.get("like", ())]
    return _search(name, "", {**options, "like": like})


def _suggest(name: str, query: str, k: int) -> Call[SuggestAnswer]:
    return Call("GET", path_of(name, "suggest"), reads(SuggestAnswer), params={"q": query, "k": k})


def _facet_values(name: str, field: str, params: Mapping[str, Any]) -> Call[FacetValuesAnswer]:
    return Call("GET", path_of(name, "facets", field), reads(FacetValuesAnswer), params=params)


def _explain(name: str, query: str, document_id: str, options: ExplainOptions) -> Call[ExplanationAnswer]:
    body = {"query": query, "id": document_id, **options}
    return Call("POST", path_of(name, "explain"), reads(ExplanationAnswer), body)


def _context(name: str, query: str, unit: UnitName, options: SearchOptions) -> Call[ContextAnswer]:
    body = {"query": query, "unit": unit, **options}
    return Call("POST", path_of(name, "context"), reads(ContextAnswer), body)


class Searching(Connection):
    """The searches of a synchronous client."""

    def search(self, collection: str | Sequence[str], query: str, **options: Unpack[SearchOptions]) -> SearchAnswer:
        """Return the documents of a collection, or of several, that match, best first."""
        return self._send(_search(collection, query, options))

    def passages(self, collection: str | Sequence[str], query: str, **options: Unpack[SearchOptions]) -> SearchAnswer:
        """Return the passages that match, best first, each as a hit of its own."""
        return self._send(_search(collection, query, {**options, "group_by": "none"}))

    def search_batch(
        self, collection: str, queries: Sequence[str], **options: Unpack[SearchOptions]
    ) -> list[SearchAnswer]:
        """Return the answers in the order of the queries."""
        return self._send(_search_batch(collection, queries, options))

    def context(
        self, collection: str, query: str, *, unit: UnitName = "tokens", **options: Unpack[SearchOptions]
    ) -> ContextAnswer:
        """Return the best passages in at most `max_tokens` of `unit`, with citations."""
        return self._send(_context(collection, query, unit, options))

    def similar(self, collection: str, document_id: str, **options: Unpack[SearchOptions]) -> SearchAnswer:
        """Return the documents that are most like a document, without it."""
        return self._send(_similar(collection, document_id, options))

    def suggest(self, collection: str, query: str, k: int = 5) -> SuggestAnswer:
        """Return words and titles for a query that is being typed."""
        return self._send(_suggest(collection, query, k))

    def facet_values(
        self, collection: str, field: str, prefix: str = "", *, query: str = "", filter: str = "", k: int = 10
    ) -> FacetValuesAnswer:
        """Return the values of a field that begin with a prefix, and their counts."""
        params = {"prefix": prefix, "q": query, "filter": filter, "k": k}
        return self._send(_facet_values(collection, field, params))

    def explain(
        self, collection: str, query: str, document_id: str, **options: Unpack[ExplainOptions]
    ) -> ExplanationAnswer:
        """Return the parts of a document's score for a query."""
        return self._send(_explain(collection, query, document_id, options))


class AsyncSearching(AsyncConnection):
    """The searches of a client for asyncio."""

    async def search(
        self, collection: str | Sequence[str], query: str, **options: Unpack[SearchOptions]
    ) -> SearchAnswer:
        """Return the documents of a collection, or of several, that match, best first."""
        return await self._send(_search(collection, query, options))

    async def passages(
        self, collection: str | Sequence[str], query: str, **options: Unpack[SearchOptions]
    ) -> SearchAnswer:
        """Return the passages that match, best first, each as a hit of its own."""
        return await self._send(_search(collection, query, {**options, "group_by": "none"}))

    async def search_batch(
        self, collection: str, queries: Sequence[str], **options: Unpack[SearchOptions]
    ) -> list[SearchAnswer]:
        """Return the answers in the order of the queries."""
        return await self._send(_search_batch(collection, queries, options))

    async def context(
        self, collection: str, query: str, *, unit: UnitName = "tokens", **options: Unpack[SearchOptions]
    ) -> ContextAnswer:
        """Return the best passages in at most `max_tokens` of `unit`, with citations."""
        return await self._send(_context(collection, query, unit, options))

    async def similar(self, collection: str, document_id: str, **options: Unpack[SearchOptions]) -> SearchAnswer:
        """Return the documents that are most like a document, without it."""
        return await self._send(_similar(collection, document_id, options))

    async def suggest(self, collection: str, query: str, k: int = 5) -> SuggestAnswer:
        """Return words and titles for a query that is being typed."""
        return await self._send(_suggest(collection, query, k))

    async def facet_values(
        self, collection: str, field: str, prefix: str = "", *, query: str = "", filter: str = "", k: int = 10
    ) -> FacetValuesAnswer:
        """Return the values of a field that begin with a prefix, and their counts."""
        params = {"prefix": prefix, "q": query, "filter": filter, "k": k}
        return await self._send(_facet_values(collection, field, params))

    async def explain(
        self, collection: str, query: str, document_id: str, **options: Unpack[ExplainOptions]
    ) -> ExplanationAnswer:
        """Return the parts of a document's score for a query."""
        return await self._send(_explain(collection, query, document_id, options))
