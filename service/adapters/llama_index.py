"""LlamaIndex: a retriever and a vector store over a served collection.

pip install 'attendex[llama-index]'
retriever = AttendexRetriever(Client(), "papers", k=5)
index = VectorStoreIndex.from_vector_store(AttendexVectorStore(Client(), "papers"), embed_model=MockEmbedding(1))

The service embeds nodes and queries, so that the index needs no model for embeddings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from pydantic import PrivateAttr

from retrieval.errors import InputError, MissingExtra
from retrieval.index.metadata.filter_text import EVERY_DOCUMENT, id_parts, ids_filter
from service.client import AsyncClient, Client, SearchOptions
from service.client.answers.search import HitAnswer

try:
    from llama_index.core.retrievers import BaseRetriever
    from llama_index.core.schema import BaseNode, NodeWithScore, QueryBundle
    from llama_index.core.vector_stores.types import (
        BasePydanticVectorStore,
        MetadataFilters,
        VectorStoreQuery,
        VectorStoreQueryMode,
        VectorStoreQueryResult,
    )
except ImportError as error:
    raise MissingExtra("llama-index", "LlamaIndex's retriever and vector store") from error

from service.adapters.conditions import MAX_ID_CHARACTERS, Conditions, all_of
from service.adapters.exact_metadata import REF_DOC_FIELD
from service.adapters.llama_index_filters import to_filter
from service.adapters.llama_index_nodes import is_node, node_of, record_of, ref_doc_value
from service.adapters.records import received_document, received_hit, search_options

MODES = {
    VectorStoreQueryMode.DEFAULT: "dense",
    VectorStoreQueryMode.MMR: "dense",
    VectorStoreQueryMode.HYBRID: "hybrid",
    VectorStoreQueryMode.SEMANTIC_HYBRID: "hybrid",
    VectorStoreQueryMode.TEXT_SEARCH: "lexical",
    VectorStoreQueryMode.SPARSE: "sparse",
}
MMR_FACTOR, MAX_PREFETCH = 4.0, 1_000  # candidates of MMR for each node, and in all, by default


class AttendexRetriever(BaseRetriever):
    """Retrieves passages as nodes, best first; `async_client` answers `aretrieve`.

    The metadata of a node have `source`, page, heading and place beside those of the document.
    """

    def __init__(
        self,
        client: Client,
        collection: str,
        *,
        async_client: AsyncClient | None = None,
        **options: Unpack[SearchOptions],
    ) -> None:
        super().__init__()
        self._client = client
        self._async_client = async_client
        self._collection = collection
        self._options = search_options(options, {})

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        hits = self._client.search(self._collection, query_bundle.query_str, **self._options).hits
        return [_scored(hit) for hit in hits]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        if self._async_client is None:
            return await asyncio.to_thread(self._retrieve, query_bundle)
        found = await self._async_client.search(self._collection, query_bundle.query_str, **self._options)
        return [_scored(hit) for hit in found.hits]


class AttendexVectorStore(BasePydanticVectorStore):
    """A collection as LlamaIndex's vector store.  The service embeds the nodes.

    A query returns nodes as they were added, and of other documents the best passages.  It reads `query_str`, and
    `query_embedding`, a vector of the collection's encoder, where there are no words.  The asynchronous methods wait on
    a thread.
    """

    stores_text: bool = True
    is_embedding_query: bool = False
    _client: Client = PrivateAttr()
    _collection: str = PrivateAttr()

    def __init__(self, client: Client, collection: str) -> None:
        super().__init__(stores_text=True, is_embedding_query=False)
        self._client = client
        self._collection = collection

    @classmethod
    def class_name(cls) -> str:
        return "AttendexVectorStore"

    @property
    def client(self) -> Client:
        return self._client

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Add or replace nodes and return their ids; their embeddings are not read."""
        _refuse(kwargs, "adding nodes")
        self._client.upload(self._collection, map(record_of, nodes))
        return [node.node_id for node in nodes]

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Delete the nodes of a document."""
        _refuse(delete_kwargs, "deleting")
        self._client.delete(
            self._collection, filter=Conditions(self._fields()).equal(REF_DOC_FIELD, ref_doc_value(ref_doc_id))
        )

    def delete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """Delete those of `node_ids` that match `filters`; nothing without both."""
        _refuse(delete_kwargs, "deleting nodes")
        expression = to_filter(filters, self._fields())
        for part in self._parts(node_ids, expression) if node_ids is not None or expression else []:
            self._client.delete(self._collection, filter=part)

    def get_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> list[BaseNode]:
        """Return those of `node_ids` that match `filters`, in order; all without both."""
        expression = to_filter(filters, self._fields())
        found = {
            document.id: node_of(document.id, received_document(document))
            for part in self._parts(node_ids, expression)
            for document in self._client.documents(self._collection, part)
        }
        return list(found.values()) if node_ids is None else [found[each] for each in node_ids if each in found]

    def clear(self) -> None:
        """Delete all nodes."""
        self._client.delete(self._collection, filter=EVERY_DOCUMENT)

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Return the best nodes; further options are those of the service's search."""
        options, words = self._query_options(query, kwargs)
        hits = self._client.search(self._collection, words, **options).hits
        return VectorStoreQueryResult(
            nodes=self._nodes(hits),
            similarities=[hit.score for hit in hits],
            ids=[hit.id for hit in hits],
        )

    async def async_add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        return await asyncio.to_thread(self.add, nodes, **kwargs)

    async def adelete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        await asyncio.to_thread(self.delete, ref_doc_id, **delete_kwargs)

    async def adelete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        await asyncio.to_thread(self.delete_nodes, node_ids, filters, **delete_kwargs)

    async def aget_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        return await asyncio.to_thread(self.get_nodes, node_ids, filters)

    async def aclear(self) -> None:
        await asyncio.to_thread(self.clear)

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        return await asyncio.to_thread(self.query, query, **kwargs)

    def _fields(self) -> Mapping[str, str]:
        return self._client.collection(self._collection).fields

    def _parts(self, node_ids: list[str] | None, expression: str) -> list[str]:
        """Return expressions that match what both arguments allow, together."""
        if node_ids is None:
            return [expression]
        parts = map(ids_filter, id_parts(node_ids, MAX_ID_CHARACTERS))
        return [all_of([part, *([expression] if expression else [])]) for part in parts]

    def _nodes(self, hits: Sequence[HitAnswer]) -> list[BaseNode]:
        """Return the node of each hit: whole, if it was added as one."""
        received = [(hit.id, received_hit(hit, facts=False)) for hit in hits]
        cut = [each for each, text in received if text.passage is not None and is_node(text)]
        whole = {
            document.id: received_document(document)
            for part in id_parts(cut, MAX_ID_CHARACTERS)
            for document in self._client.documents(self._collection, ids_filter(part))
        }
        return [node_of(each, whole.get(each, text)) for each, text in received]

    def _query_options(self, query: VectorStoreQuery, given: dict[str, Any]) -> tuple[SearchOptions, str]:
        """Return the options of the search for a query, and its words."""
        if query.mode not in MODES:
            known = ", ".join(mode.value for mode in MODES)
            raise InputError(f"the mode {query.mode.value} does not exist here; use one of {known}")
        if query.embedding_field is not None:
            raise InputError("a collection has one vector for each passage; leave out embedding_field")
        details = self._client.collection(self._collection)
        mode = "lexical" if query.mode is VectorStoreQueryMode.SPARSE and "sparse" not in details.modes else ""
        own = {"filter": "filters", "mode": "mode of the query", "fields": "output_fields", "k": "similarity_top_k"}
        options: dict[str, Any] = {**search_options(given, own), "k": _hits(query), "mode": mode or MODES[query.mode]}
        options |= _mode_options(query, options)
        if not query.query_str and query.query_embedding is not None:
            options["vector"] = query.query_embedding
        elif not query.query_str:
            raise InputError("the query is empty; give query_str, or query_embedding")
        if query.output_fields is not None:
            options["fields"] = query.output_fields
        options["filter"] = _expression(query, details.fields)
        return search_options(options, {}), query.query_str or ""


def _scored(hit: HitAnswer) -> NodeWithScore:
    return NodeWithScore(node=node_of(hit.id, received_hit(hit, facts=True)), score=hit.score)


def _refuse(options: Mapping[str, Any], what: str) -> None:
    if options:
        raise InputError(f"{what} has no option {', '.join(sorted(options))}")


def _expression(query: VectorStoreQuery, fields: Mapping[str, str]) -> str:
    """Return what filters, nodes and documents of a query allow; "" for all."""
    conditions = []
    if query.filters is not None and query.filters.filters:
        conditions.append(to_filter(query.filters, fields))
    if query.node_ids:  # an index passes an empty list where it knows no nodes
        conditions.append(ids_filter(query.node_ids))
    if query.doc_ids:
        conditions.append(Conditions(fields).among(REF_DOC_FIELD, map(ref_doc_value, query.doc_ids)))
    return all_of(conditions) if conditions else ""


def _hits(query: VectorStoreQuery) -> int:
    """Return the number of nodes to return: that of the query's mode, if it is given."""
    if query.mode is VectorStoreQueryMode.SPARSE:
        return query.sparse_top_k or query.similarity_top_k
    if MODES[query.mode] == "hybrid":
        return query.hybrid_top_k or max(query.similarity_top_k, query.sparse_top_k or 0)
    return query.similarity_top_k


def _mode_options(query: VectorStoreQuery, options: dict[str, Any]) -> dict[str, Any]:
    """Take LlamaIndex's own options out of `options`; return those of the service."""
    threshold = options.pop("mmr_threshold", query.mmr_threshold)
    wanted, factor = options.pop("mmr_prefetch_k", None), options.pop("mmr_prefetch_factor", None)
    if query.mode is not VectorStoreQueryMode.MMR:
        if any(each is not None for each in (threshold, wanted, factor)):
            raise InputError("mmr_threshold, mmr_prefetch_k and mmr_prefetch_factor are options of the mode mmr")
        if query.alpha is not None and MODES[query.mode] != "hybrid":
            raise InputError("alpha is the share of the vectors in the mode hybrid; leave it out in other modes")
        return {} if query.alpha is None else {"weight": query.alpha}
    if wanted is not None and factor is not None:
        raise InputError("mmr_prefetch_k and mmr_prefetch_factor both choose the candidates; give one of both")
    threshold = 0.5 if threshold is None else threshold
    depth = wanted or min(MAX_PREFETCH, round((factor or MMR_FACTOR) * options["k"]))
    return {"diversity": 1.0 - threshold, "diversity_depth": depth} if threshold < 1.0 else {}
