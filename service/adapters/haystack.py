"""Haystack: a document store and a retriever over a served collection.

pip install 'attendex[haystack]'
store = AttendexDocumentStore("papers")
retriever = AttendexRetriever(store, top_k=5)
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from retrieval.errors import MissingExtra
from retrieval.index.metadata.filter_text import EVERY_DOCUMENT, id_parts, ids_filter
from service.client import ChangeFailedError, Client, SearchOptions, ServiceError
from service.client.connection import KEY_VARIABLE

try:
    from haystack import Document, component, default_from_dict, default_to_dict
    from haystack.document_stores.errors import DuplicateDocumentError
    from haystack.document_stores.types import DuplicatePolicy
    from haystack.errors import FilterError as HaystackFilterError
    from haystack.utils import Secret
except ImportError as error:
    raise MissingExtra("haystack", "Haystack's document store and retriever") from error

from service.adapters.conditions import MAX_ID_CHARACTERS
from service.adapters.exact_metadata import RESERVED
from service.adapters.haystack_documents import (
    distinct,
    document_of,
    document_of_hit,
    patches_of,
    record_of,
    value_at,
)
from service.adapters.haystack_filters import to_filter
from service.adapters.records import search_options
from service.client.answers.search import SearchAnswer

MAX_CHANGES = 256  # of one request


class AttendexDocumentStore:
    """A collection as Haystack's document store.  The service embeds the documents.

    Embeddings of documents are kept and returned, and no search reads them.  The asynchronous methods wait on a thread.
    """

    def __init__(self, collection: str, url: str | None = None, api_key: Secret | None = None) -> None:
        self.collection = collection
        self.url = url
        self.api_key = api_key or Secret.from_env_var(KEY_VARIABLE, strict=False)
        self.client = Client(url, self.api_key.resolve_value())

    def to_dict(self) -> dict[str, Any]:
        """Return the store for a saved pipeline, without the key."""
        return default_to_dict(self, collection=self.collection, url=self.url, api_key=self.api_key.to_dict())

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> AttendexDocumentStore:
        """Return the store that `to_dict` described."""
        parameters = data["init_parameters"]
        if parameters.get("api_key"):
            parameters["api_key"] = Secret.from_dict(parameters["api_key"])
        return default_from_dict(cls, data)

    def count_documents(self) -> int:
        return self.client.collection(self.collection).documents

    def filter_documents(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """Return the matching documents as they were written; all without filters."""
        return list(self._matching(filters))

    def write_documents(self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE) -> int:
        """Write documents and return their number.  NONE overwrites.

        FAIL writes nothing if an id is known, or occurs twice.
        """
        if not isinstance(documents, list) or not all(isinstance(each, Document) for each in documents):
            raise ValueError("write_documents takes a list of Document")
        chosen = documents
        if policy in (DuplicatePolicy.SKIP, DuplicatePolicy.FAIL):
            chosen = self._new_documents(documents, policy)
        self.client.upload(self.collection, map(record_of, chosen))
        return len(chosen)

    def delete_documents(self, document_ids: list[str]) -> None:
        """Delete by ids; unknown ids are ignored."""
        if document_ids:
            self.client.delete(self.collection, document_ids)

    def delete_all_documents(self, recreate_collection: bool = False) -> None:
        """Delete all documents; with `recreate_collection`, forget the fields too.

        That takes a key of the role `admin`.
        """
        if not recreate_collection:
            self.client.delete(self.collection, filter=EVERY_DOCUMENT)
            return
        details = self.client.collection(self.collection)
        self.client.drop(self.collection)
        self.client.create(
            self.collection, details.encoder, expires=details.expires, searched_fields=details.searched_fields
        )

    def delete_by_filter(self, filters: dict[str, Any]) -> int:
        """Delete the matching documents and return their number."""
        with filter_errors():
            return self.client.delete(self.collection, filter=self._required(filters)).deleted

    def update_by_filter(self, filters: dict[str, Any], meta: dict[str, Any]) -> int:
        """Set fields of the matching documents and return their number; None removes one."""
        self._required(filters)
        updated = 0
        found = list(self._matching(filters))
        for start in range(0, len(found), MAX_CHANGES):
            part = found[start : start + MAX_CHANGES]
            changes = [change for document in part for change in patches_of(document, meta)]
            failed = self.client.update(self.collection, changes).failures
            if failed:
                problem = f"document {failed[0].id!r} was not updated: {failed[0].error}"
                raise ChangeFailedError(0, problem, failed[0].code)
            updated += len(part)
        return updated

    def count_documents_by_filter(self, filters: dict[str, Any]) -> int:
        expression = self._expression(filters)
        if not expression:
            return self.count_documents()
        with filter_errors():
            return self._ids(expression, 1, count=True).total.value

    def count_unique_metadata_by_filter(self, filters: dict[str, Any], metadata_fields: list[str]) -> dict[str, int]:
        """Return how many different values the matching documents have in each field."""
        found = [document.meta for document in self._matching(filters)]
        names = {name: _field(name) for name in metadata_fields}
        return {name: len(distinct(_values(found, field))) for name, field in names.items()}

    def get_metadata_fields_info(self) -> dict[str, dict[str, str]]:
        """Return the fields and their types."""
        fields = self.client.collection(self.collection).fields
        return {name: {"type": kind} for name, kind in fields.items() if name not in RESERVED}

    def get_metadata_field_min_max(self, metadata_field: str) -> dict[str, Any]:
        """Return the least and the greatest value; None for a field without an order."""
        field = _field(metadata_field)
        for each in self.client.overview(self.collection).fields:
            if each.name == field and each.type == "number":
                return {"min": each.least, "max": each.most}
        values = _values([document.meta for document in self._matching(None)], field)
        try:
            return {"min": min(values, default=None), "max": max(values, default=None)}
        except TypeError:  # values of several types
            return {"min": None, "max": None}

    def get_metadata_field_unique_values(
        self,
        metadata_field: str,
        search_term: str | None = None,
        from_: int = 0,
        size: int = 10,
        filters: dict[str, Any] | None = None,
    ) -> tuple[list[Any], int]:
        """Return a page of the different values, ordered as text, and their number."""
        values = distinct(_values([document.meta for document in self._matching(filters)], _field(metadata_field)))
        if search_term:
            values = [value for value in values if search_term.casefold() in str(value).casefold()]
        return values[from_ : from_ + size], len(values)

    async def count_documents_async(self) -> int:
        return await asyncio.to_thread(self.count_documents)

    async def filter_documents_async(self, filters: dict[str, Any] | None = None) -> list[Document]:
        return await asyncio.to_thread(self.filter_documents, filters)

    async def write_documents_async(
        self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE
    ) -> int:
        return await asyncio.to_thread(self.write_documents, documents, policy)

    async def delete_documents_async(self, document_ids: list[str]) -> None:
        await asyncio.to_thread(self.delete_documents, document_ids)

    async def delete_all_documents_async(self, recreate_collection: bool = False) -> None:
        await asyncio.to_thread(self.delete_all_documents, recreate_collection)

    async def delete_by_filter_async(self, filters: dict[str, Any]) -> int:
        return await asyncio.to_thread(self.delete_by_filter, filters)

    async def update_by_filter_async(self, filters: dict[str, Any], meta: dict[str, Any]) -> int:
        return await asyncio.to_thread(self.update_by_filter, filters, meta)

    async def count_documents_by_filter_async(self, filters: dict[str, Any]) -> int:
        return await asyncio.to_thread(self.count_documents_by_filter, filters)

    async def count_unique_metadata_by_filter_async(
        self, filters: dict[str, Any], metadata_fields: list[str]
    ) -> dict[str, int]:
        return await asyncio.to_thread(self.count_unique_metadata_by_filter, filters, metadata_fields)

    async def get_metadata_fields_info_async(self) -> dict[str, dict[str, str]]:
        return await asyncio.to_thread(self.get_metadata_fields_info)

    async def get_metadata_field_min_max_async(self, metadata_field: str) -> dict[str, Any]:
        return await asyncio.to_thread(self.get_metadata_field_min_max, metadata_field)

    async def get_metadata_field_unique_values_async(
        self,
        metadata_field: str,
        search_term: str | None = None,
        from_: int = 0,
        size: int = 10,
        filters: dict[str, Any] | None = None,
    ) -> tuple[list[Any], int]:
        return await asyncio.to_thread(
            self.get_metadata_field_unique_values, metadata_field, search_term, from_, size, filters
        )

    def retrieve(self, query: str, filters: dict[str, Any] | None, options: SearchOptions) -> SearchAnswer:
        """Search the collection; `options` are those of the service."""
        with filter_errors():
            wanted: SearchOptions = {**options, "filter": self._expression(filters)}
            return self.client.search(self.collection, query, **wanted)

    def _expression(self, filters: dict[str, Any] | None) -> str:
        return to_filter(filters, self.client.collection(self.collection).fields) if filters else ""

    def _required(self, filters: dict[str, Any]) -> str:
        if not filters:
            raise HaystackFilterError("there are no filters, and no filters mean all documents; give some")
        return self._expression(filters)

    def _matching(self, filters: dict[str, Any] | None) -> Iterator[Document]:
        with filter_errors():
            yield from map(document_of, self.client.documents(self.collection, self._expression(filters)))

    def _ids(self, expression: str, k: int, *, count: bool = False) -> SearchAnswer:
        return self.client.search(self.collection, "*", filter=expression, k=k, detail="ids", count=count, log=False)

    def _new_documents(self, documents: list[Document], policy: DuplicatePolicy) -> list[Document]:
        """Return the first document of each id that the collection lacks."""
        seen: set[str] = set()
        for part in id_parts((document.id for document in documents), MAX_ID_CHARACTERS):
            seen |= {hit.id for hit in self._ids(ids_filter(part), len(part)).hits}
        chosen = []
        for document in documents:
            if document.id not in seen:
                chosen.append(document)
                seen.add(document.id)
            elif policy is DuplicatePolicy.FAIL:
                raise DuplicateDocumentError(f"document {document.id!r} exists already")
        return chosen


@component
class AttendexRetriever:
    """Retrieves the passages of the store that answer a query, best first.

    A passage has `source`, page, heading and place in its meta; with `whole_documents`, documents come as they were
    written.  `options` are those of a search, such as `neighbours`.
    """

    def __init__(
        self,
        document_store: AttendexDocumentStore,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        mode: str | None = None,
        syntax: str | None = None,
        whole_documents: bool = False,
        options: dict[str, Any] | None = None,
    ) -> None:
        self.document_store = document_store
        self.filters = filters
        self.top_k = top_k
        self.mode = mode
        self.syntax = syntax
        self.whole_documents = whole_documents
        self.options = options

    @component.output_types(documents=list[Document])
    def run(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Return the best documents; `filters` stand for those of the component."""
        options = self._search_options(self.top_k if top_k is None else top_k)
        found = self.document_store.retrieve(query, self.filters if filters is None else filters, options)
        return {"documents": [document_of_hit(hit, facts=not self.whole_documents) for hit in found.hits]}

    @component.output_types(documents=list[Document])
    async def run_async(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Do as `run`, on a thread."""
        return await asyncio.to_thread(self.run, query, filters, top_k)

    def _search_options(self, top_k: int) -> SearchOptions:
        own = {"k": "top_k", "filter": "filters", "mode": "mode of the component", "syntax": "syntax of the component"}
        options = search_options(self.options or {}, own, whole=self.whole_documents)
        named = {name: value for name, value in (("mode", self.mode), ("syntax", self.syntax)) if value}
        return cast(SearchOptions, {**options, **named, "k": top_k})

    def to_dict(self) -> dict[str, Any]:
        """Return the retriever for a saved pipeline."""
        return default_to_dict(
            self,
            document_store=self.document_store.to_dict(),
            filters=self.filters,
            top_k=self.top_k,
            mode=self.mode,
            syntax=self.syntax,
            whole_documents=self.whole_documents,
            options=self.options,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> AttendexRetriever:
        """Return the retriever that `to_dict` described."""
        parameters = data["init_parameters"]
        parameters["document_store"] = AttendexDocumentStore.from_dict(parameters["document_store"])
        return default_from_dict(cls, data)


@contextmanager
def filter_errors() -> Iterator[None]:
    """Raise Haystack's FilterError where the service refuses a filter."""
    try:
        yield
    except ServiceError as error:
        if error.code != "bad_filter":
            raise
        raise HaystackFilterError(str(error)) from error


def _field(name: str) -> str:
    return name.removeprefix("meta.")


def _values(found: list[dict[str, Any]], field: str) -> list[Any]:
    """Return the values of a field, without None."""
    values = (value_at(meta, field) for meta in found)
    return [value for value in values if value is not None]
