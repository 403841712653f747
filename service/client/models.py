"""The models of a service: embed texts, rerank them; ask whether it is ready."""

from __future__ import annotations

from collections.abc import Sequence

import httpx

from .answers.openai import EmbeddingsAnswer
from .answers.rerank import CohereAnswer, CohereResult
from .calls import Call, Texts, listed
from .connection import AsyncConnection, Connection


def _embed(texts: Sequence[str], model: str, queries: bool) -> Call[list[list[float]]]:
    body = {"input": texts, "model": model, "input_type": "query" if queries else "document"}
    return Call("POST", "/v1/embeddings", _vectors, body)


def _vectors(response: httpx.Response) -> list[list[float]]:
    found = EmbeddingsAnswer.model_validate_json(response.content).data
    return [answer.embedding for answer in found if not isinstance(answer.embedding, str)]


def _rerank(query: str, documents: Sequence[str], top_n: int | None) -> Call[list[CohereResult]]:
    body = {"query": query, "documents": documents, "top_n": top_n}
    return Call("POST", "/v2/rerank", lambda r: CohereAnswer.model_validate_json(r.content).results, body)


class Models(Connection):
    """The models of a synchronous client."""

    def embed(self, texts: Texts, *, model: str = "default", queries: bool = False) -> list[list[float]]:
        """Return vectors of length one, in the order of the texts."""
        return self._send(_embed(listed(texts), model, queries))

    def rerank(self, query: str, documents: Texts, top_n: int | None = None) -> list[CohereResult]:
        """Return the positions of the documents and their scores, best first."""
        return self._send(_rerank(query, listed(documents), top_n))

    def ready(self) -> bool:
        """Check whether the service can answer requests now."""
        try:
            return self._http.get("/readyz").is_success
        except httpx.TransportError:
            return False


class AsyncModels(AsyncConnection):
    """The models of a client for asyncio."""

    async def embed(self, texts: Texts, *, model: str = "default", queries: bool = False) -> list[list[float]]:
        """Return vectors of length one, in the order of the texts."""
        return await self._send(_embed(listed(texts), model, queries))

    async def rerank(self, query: str, documents: Texts, top_n: int | None = None) -> list[CohereResult]:
        """Return the positions of the documents and their scores, best first."""
        return await self._send(_rerank(query, listed(documents), top_n))

    async def ready(self) -> bool:
        """Check whether the service can answer requests now."""
        try:
            return (await self._http.get("/readyz")).is_success
        except httpx.TransportError:
            return False
