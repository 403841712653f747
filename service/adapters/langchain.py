"""LangChain: a retriever and a vector store over a served collection.

pip install 'attendex[langchain]'
retriever = AttendexRetriever(collection="papers", k=5)  # of the service at ATTENDEX_URL, or client=Client(…)

Options of a search, such as `mode`, are passed on; the service refuses unknown ones.  A `filter` is an expression, as
`page > 2`, or a dictionary, as `{"page": {"$gt": 2}}`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

from retrieval.errors import InputError, MissingExtra
from retrieval.index.metadata.filter_text import EVERY_DOCUMENT
from service.adapters.langchain_filters import to_filter
from service.adapters.records import received_document, received_hit, search_options, sent_record
from service.client import AsyncClient, Client, SearchOptions, ServiceError
from service.client.answers.search import HitAnswer

try:
    from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.vectorstores import VectorStore
except ImportError as error:
    raise MissingExtra("langchain", "LangChain's retriever and vector store") from error

from pydantic import ConfigDict, Field


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

    The metadata have `source`, page, heading and place beside those of the document.  `async_client` answers `ainvoke`;
    without it `client` does, on a thread.  `whole_documents` returns the whole text instead of the best passage.
    """

    model_config = ConfigDict(extra="forbid")

    collection: str
    client: Any = Field(default_factory=Client)
    async_client: Any = None
    k: int = 4
    options: dict[str, Any] = Field(default_factory=dict)
    whole_documents: bool = False

    def _asked(self, options: dict[str, Any], fields: Mapping[str, str]) -> SearchOptions:
        asked = _with_expression({"k": self.k, **self.options, **options}, fields)
        return search_options(asked, {}, whole=self.whole_documents)

    def _needs_fields(self, options: dict[str, Any]) -> bool:
        return isinstance({**self.options, **options}.get("filter"), Mapping)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002
        **options: Any,
    ) -> list[Document]:
        fields = self.client.collection(self.collection).fields if self._needs_fields(options) else {}
        found = self.client.search(self.collection, query, **self._asked(options, fields))
        return [to_document(hit, facts=True) for hit in found.hits]

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        if self.async_client is None:
            return await super()._aget_relevant_documents(query, run_manager=run_manager, **options)
        client: AsyncClient = self.async_client
        fields = (await client.collection(self.collection)).fields if self._needs_fields(options) else {}
        found = await client.search(self.collection, query, **self._asked(options, fields))
        return [to_document(hit, facts=True) for hit in found.hits]


class AttendexVectorStore(VectorStore):
    """A collection as LangChain's vector store.

    A search returns a document of one passage as it was added, and of a longer one the best passage, or with
    `whole_documents` the whole text.
    """

    def __init__(
        self, client: Client, collection: str, *, mode: str | None = None, whole_documents: bool = False
    ) -> None:
        self._client = client
        self._collection = collection
        self._mode = mode
        self._whole_documents = whole_documents

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
        """Add texts to `collection` of the service `client`; create it if needed.

        The other options are those of the class.
        """
        store = cls(**kwargs)
        if store._collection not in {known.name for known in store._client.collections()}:
            store._client.create(store._collection)
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
        used = [str(uuid.uuid4()) if each in (None, "") else str(each) for each in ids or [None] * len(texts)]
        metadatas = metadatas or [{} for _ in texts]
        documents = zip(used, texts, metadatas, strict=True)
        self._client.upload(self._collection, (sent_record(*document) for document in documents))
        return used

    def delete(self, ids: list[str] | None = None, *, everything: bool = False, **kwargs: Any) -> bool:
        """Delete by ids; delete all documents only with `everything=True`."""
        if kwargs:
            raise InputError(f"deleting has no option {', '.join(sorted(kwargs))}; give ids, or everything=True")
        if (ids is None) is not everything:
            raise InputError("delete(None) would delete all documents; give either ids, or everything=True")
        if ids is None:
            self._client.delete(self._collection, filter=EVERY_DOCUMENT)
            return True
        return bool(self._client.delete(self._collection, list(map(str, ids))).deleted) if ids else False

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        found = []
        for document_id in map(str, ids):
            try:
                document = self._client.document(self._collection, document_id)
            except ServiceError as error:
                if error.code == "document_not_found":
                    continue
                raise
            received = received_document(document)
            found.append(Document(page_content=received.text, metadata=received.metadata, id=document.id))
        return found

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    def similarity_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> list[tuple[Document, float]]:
        """Return the best k documents and their scores; higher is better."""
        if k == 0:
            return []
        hits = self._client.search(self._collection, query, **self._options(k, kwargs)).hits
        return [(to_document(hit, facts=False), hit.score) for hit in hits]

    def similarity_search_by_vector(self, embedding: list[float], k: int = 4, **kwargs: Any) -> list[Document]:
        """Return the k documents nearest to a vector of the collection's encoder."""
        return self.similarity_search("", k, vector=embedding, **{"mode": "dense", **kwargs})

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Document]:
        """Return k diverse ones of the best `fetch_k` documents, by their stored vectors.

        Carbonell and Goldstein 1998.
        """
        diversity = {"diversity": 1.0 - lambda_mult, "diversity_depth": fetch_k} if lambda_mult != 1.0 else {}
        return self.similarity_search(query, min(k, fetch_k), **diversity, **kwargs)

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
        if isinstance(given.get("filter"), Mapping):
            given = _with_expression(given, self._client.collection(self._collection).fields)
        return search_options({**mode, **given, "k": k}, {}, whole=self._whole_documents)

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        return lambda score: min(1.0, max(0.0, (1 + score) / 2 if self._mode == "dense" else score))


def _with_expression(options: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    """Return options whose filter, if it is a dictionary, is an expression."""
    filters = options.get("filter")
    return {**options, **({"filter": to_filter(filters, fields)} if isinstance(filters, Mapping) else {})}


def to_document(hit: HitAnswer, *, facts: bool) -> Document:
    """Return a hit as LangChain's document; see `received_hit`."""
    received = received_hit(hit, facts=facts)
    score = {"score": hit.score} if facts else {}
    return Document(page_content=received.text, metadata={**score, **received.metadata}, id=hit.id)
