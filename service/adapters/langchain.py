"""LangChain: a retriever and a vector store over a served collection.

pip install 'attendex[langchain]'
retriever = AttendexRetriever(collection="papers", k=5)  # of the service at ATTENDEX_URL, or client=Client(…)

Options of a search, such as `filter` and `mode`, are passed on; the service refuses unknown ones.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self, cast

from retrieval.errors import InputError, MissingExtra
from service.client import AsyncClient, Client, SearchOptions, ServiceError
from service.client.answers.collections import DocumentAnswer
from service.client.answers.search import HitAnswer

try:
    from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.vectorstores import VectorStore
except ImportError as error:
    raise MissingExtra("langchain", "LangChain's retriever and vector store") from error

from pydantic import Field


class AttendexEmbeddings(Embeddings):
    """The service's encoder as LangChain's embeddings."""

    def __init__(self, client: Client | None = None, model: str = "default") -> None:
        self._client = client or Client()
        self._model = model

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self._client.embed(texts, model=self._model)

    def embed_query(self, text: str) -> list[float]:
        return self._client.embed([text], model=self._model, queries=True)[0]


class AttendexRetriever(BaseRetriever):
    """Retrieves documents of a collection; the content is their best passage.

    `async_client` answers `ainvoke`; without it `client` does, on a thread. `whole_documents` returns the whole text
    instead of the best passage.
    """

    collection: str
    client: Any = Field(default_factory=Client)
    async_client: Any = None
    k: int = 4
    options: dict[str, Any] = Field(default_factory=dict)
    whole_documents: bool = False

    def _asked(self, options: dict[str, Any]) -> dict[str, Any]:
        text = {"include": ["text"]} if self.whole_documents else {}
        return {"k": self.k, **text, **self.options, **options}

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002
        **options: Any,
    ) -> list[Document]:
        found = self.client.search(self.collection, query, **self._asked(options))
        return [to_document(hit, whole=self.whole_documents) for hit in found.hits]

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        if self.async_client is None:
            return await super()._aget_relevant_documents(query, run_manager=run_manager, **options)
        client: AsyncClient = self.async_client
        found = await client.search(self.collection, query, **self._asked(options))
        return [to_document(hit, whole=self.whole_documents) for hit in found.hits]


class AttendexVectorStore(VectorStore):
    """A collection as LangChain's vector store; `filter` is as `year > 2000`."""

    def __init__(self, client: Client, collection: str, *, mode: str | None = None) -> None:
        self._client = client
        self._collection = collection
        self._mode = mode

    @property
    def embeddings(self) -> Embeddings:
        return AttendexEmbeddings(self._client, self._client.collection(self._collection).encoder)

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings | None,  # noqa: ARG003  # the collection's own encoder embeds
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Add texts to `collection` of the service `client`; create it if needed."""
        client: Client = kwargs["client"]
        store = cls(client, kwargs["collection"], mode=kwargs.get("mode"))
        if kwargs["collection"] not in {known.name for known in client.collections()}:
            client.create(kwargs["collection"])
        store.add_texts(texts, metadatas, ids=ids)
        return store

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Add or replace texts and return their ids; make those that are missing."""
        if kwargs:
            raise InputError(f"adding texts has no option {', '.join(sorted(kwargs))}")
        texts = list(texts)
        used = [each or str(uuid.uuid4()) for each in ids or [None] * len(texts)]
        metadatas = metadatas or [{} for _ in texts]
        documents = zip(used, texts, metadatas, strict=True)
        self._client.upload(self._collection, ({"id": i, "text": t, "metadata": m} for i, t, m in documents))
        return used

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:
        """Delete by ids; delete all documents only with `everything=True`."""
        if ids is None and not kwargs.get("everything"):
            raise InputError("delete(None) would delete all documents; give ids, or everything=True")
        if ids is None:
            details = self._client.collection(self._collection)
            self._client.drop(self._collection)
            self._client.create(self._collection, details.encoder)
            return True
        return bool(self._client.delete(self._collection, ids).deleted) if ids else False

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        found = []
        for document_id in ids:
            try:
                document = self._client.document(self._collection, document_id)
            except ServiceError as error:
                if error.code == "document_not_found":
                    continue
                raise
            found.append(as_given(document))
        return found

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    def similarity_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> list[tuple[Document, float]]:
        """Return the best k documents and their scores; higher is better."""
        hits = self._client.search(self._collection, query, **self._options(k, kwargs)).hits
        return [(as_given(hit), hit.score) for hit in hits]

    def similarity_search_by_vector(self, embedding: list[float], k: int = 4, **kwargs: Any) -> list[Document]:
        """Return the k documents nearest to a vector of the collection's encoder."""
        return self.similarity_search("", k, vector=embedding, **{"mode": "dense", **kwargs})

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,  # noqa: ARG002
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Document]:
        """Return k diverse documents (Carbonell and Goldstein 1998).

        The candidates are the first 100 documents in place of `fetch_k`, by their stored vectors.
        """
        return self.similarity_search(query, k, diversity=1.0 - lambda_mult, **kwargs)

    def max_marginal_relevance_search_by_vector(
        self, embedding: list[float], k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """Return k diverse documents near a vector, as `max_marginal_relevance_search`."""
        by_vector = {"vector": embedding, "mode": "dense", **kwargs}
        return self.max_marginal_relevance_search("", k, fetch_k, lambda_mult, **by_vector)

    def _options(self, k: int, options: dict[str, Any]) -> SearchOptions:
        """Return the options of a search; None stands for an option not given."""
        mode = {"mode": self._mode} if self._mode else {}
        given = {name: value for name, value in options.items() if value is not None}
        return cast(SearchOptions, {**mode, **given, "k": k, "include": ["text"]})

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        return lambda score: min(1.0, max(0.0, (1 + score) / 2 if self._mode == "dense" else score))


def as_given(document: HitAnswer | DocumentAnswer) -> Document:
    """Return a document as the user added it, with its title if it has one."""
    title = {"title": document.title} if document.title else {}
    return Document(page_content=document.text, metadata={**title, **document.metadata}, id=document.id)


def to_document(hit: HitAnswer, *, whole: bool) -> Document:
    """Return a hit as LangChain's document: its best passage, or the whole text.

    Facts of the hit stand beside its metadata, which come back as they were given.
    """
    best = hit.passages[0] if hit.passages and not whole else None
    facts: dict[str, Any] = {"title": hit.title, "score": hit.score}
    if best is not None:
        facts |= {"start": best.start, "end": best.end, "location": best.location}
    return Document(page_content=best.text if best else hit.text, metadata={**facts, **hit.metadata}, id=hit.id)
