"""Haystack: a document store and a retriever over a served collection.

pip install 'attendex[haystack]'
store = AttendexDocumentStore("papers")
retriever = AttendexRetriever(store, top_k=5)
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from retrieval.errors import InputError, MissingExtra
from service.client import Client, ServiceError
from service.client.answers.collections import DocumentAnswer
from service.client.answers.search import HitAnswer
from service.client.connection import KEY_VARIABLE

try:
    from haystack import Document, component, default_from_dict, default_to_dict
    from haystack.document_stores.errors import DuplicateDocumentError
    from haystack.document_stores.types import DuplicatePolicy
    from haystack.utils import Secret
except ImportError as error:
    raise MissingExtra("haystack", "Haystack's document store and retriever") from error

OPERATORS = {"==": "=", "!=": "!=", ">": ">", ">=": ">=", "<": "<", "<=": "<="}


class AttendexDocumentStore:
    """A collection as Haystack's document store.  The service embeds the documents."""

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

    def write_documents(self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE) -> int:
        """Write documents and return their number.  NONE overwrites."""
        if not all(isinstance(document, Document) for document in documents):
            raise ValueError("write_documents takes a list of Document")
        if policy in (DuplicatePolicy.SKIP, DuplicatePolicy.FAIL):
            known = [document for document in documents if self._has(document.id)]
            if known and policy is DuplicatePolicy.FAIL:
                raise DuplicateDocumentError(f"document {known[0].id!r} exists already")
            documents = [document for document in documents if document not in known]
        self.client.upload(self.collection, map(_record, documents))
        return len(documents)

    def delete_documents(self, document_ids: list[str]) -> None:
        """Delete by ids; unknown ids are ignored."""
        if document_ids:
            self.client.delete(self.collection, document_ids)

    def filter_documents(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """Return the matching documents; all of them without filters."""
        return [_document(found) for found in self.client.documents(self.collection, to_filter(filters))]

    def _has(self, document_id: str) -> bool:
        try:
            self.client.document(self.collection, document_id)
        except ServiceError as error:
            if error.code == "document_not_found":
                return False
            raise
        return True


@component
class AttendexRetriever:
    """Retrieves documents of the store for a query, best first."""

    def __init__(
        self,
        document_store: AttendexDocumentStore,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        mode: str | None = None,
        syntax: str | None = None,
    ) -> None:
        self.document_store = document_store
        self.filters = filters
        self.top_k = top_k
        self.mode = mode
        self.syntax = syntax

    @component.output_types(documents=list[Document])
    def run(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        options: dict[str, Any] = {"k": top_k or self.top_k, "filter": to_filter(filters or self.filters)}
        options["include"] = ["text"]
        options |= {name: value for name, value in (("mode", self.mode), ("syntax", self.syntax)) if value}
        found = self.document_store.client.search(self.document_store.collection, query, **options)
        return {"documents": [_hit(hit) for hit in found.hits]}

    def to_dict(self) -> dict[str, Any]:
        """Return the retriever for a saved pipeline."""
        return default_to_dict(
            self,
            document_store=self.document_store.to_dict(),
            filters=self.filters,
            top_k=self.top_k,
            mode=self.mode,
            syntax=self.syntax,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> AttendexRetriever:
        """Return the retriever that `to_dict` described."""
        parameters = data["init_parameters"]
        parameters["document_store"] = AttendexDocumentStore.from_dict(parameters["document_store"])
        return default_from_dict(cls, data)


def to_filter(filters: dict[str, Any] | None) -> str:
    """Return Haystack's filters as an expression of the service."""
    if not filters:
        return ""
    operator = filters.get("operator")
    if "conditions" in filters:
        inner = [f"({to_filter(condition)})" for condition in filters["conditions"]]
        if operator in ("AND", "OR") and inner:
            return f" {operator} ".join(inner)
        if operator == "NOT" and inner:
            return f"NOT ({' AND '.join(inner)})"
    elif "field" in filters and "value" in filters:
        return _condition(str(filters["field"]).removeprefix("meta."), operator, filters["value"])
    raise InputError(f"filters {filters!r} are not in Haystack's form; give operator, field and value, or conditions")


def _condition(field: str, operator: Any, value: Any) -> str:
    field = _quoted(field)
    if operator in ("in", "not in"):
        values = ", ".join(map(_value, value))
        return f"{field} {'IN' if operator == 'in' else 'NOT IN'} [{values}]"
    if operator not in OPERATORS:
        raise InputError(f"operator {operator!r} is unknown; use one of {', '.join(OPERATORS)}, in, not in")
    return f"{field} {OPERATORS[operator]} {_value(value)}"


def _value(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool | int | float) else _quoted(str(value))


def _quoted(text: str) -> str:
    """Return a name or a text as the filter language quotes it."""
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def _record(document: Document) -> dict[str, Any]:
    meta = dict(document.meta)
    title = meta.pop("title") if meta.get("title") and isinstance(meta["title"], str) else ""
    return {"id": document.id, "title": title, "text": document.content or "", "metadata": meta}


def _document(found: DocumentAnswer) -> Document:
    return Document(id=found.id, content=found.text, meta=_meta(found.title, found.metadata))


def _hit(hit: HitAnswer) -> Document:
    return Document(id=hit.id, content=hit.text, meta=_meta(hit.title, hit.metadata), score=hit.score)


def _meta(title: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata as `_record` took them, with the title among them."""
    return {**({"title": title} if title else {}), **metadata}
