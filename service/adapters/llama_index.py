"""LlamaIndex: a retriever over a served collection.

pip install 'attendex[llama-index]'
retriever = AttendexRetriever(Client(), "papers", k=5)
"""

from __future__ import annotations

from typing import Unpack

from retrieval.errors import MissingExtra
from service.client import AsyncClient, Client, SearchOptions
from service.client.answers.search import HitAnswer

try:
    from llama_index.core.retrievers import BaseRetriever
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
except ImportError as error:
    raise MissingExtra("llama-index", "LlamaIndex's retriever") from error


class AttendexRetriever(BaseRetriever):
    """Retrieves passages as nodes, best first; `async_client` answers `aretrieve`."""

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
        self._options = options

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        hits = self._client.search(self._collection, query_bundle.query_str, **self._options).hits
        return [_node(hit) for hit in hits]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        if self._async_client is None:
            return self._retrieve(query_bundle)
        found = await self._async_client.search(self._collection, query_bundle.query_str, **self._options)
        return [_node(hit) for hit in found.hits]


def _node(hit: HitAnswer) -> NodeWithScore:
    best = hit.passages[0] if hit.passages else None
    node = TextNode(
        id_=hit.id,
        text=best.text if best else hit.text,
        metadata={"title": hit.title, **hit.metadata},
        start_char_idx=best.start if best else None,
        end_char_idx=best.end if best else None,
    )
    return NodeWithScore(node=node, score=hit.score)
