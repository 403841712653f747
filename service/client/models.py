"""The models of a service: embed, tokenize and rerank; ask whether it is ready."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
from pydantic import TypeAdapter

from .answers.openai import EmbeddingsAnswer, ModelAnswer, ModelsAnswer
from .answers.rerank import CohereAnswer, CohereResult
from .answers.tokens import TokenAnswer
from .calls import Call, Texts, listed
from .connection import AsyncConnection, Connection


def _embed(texts: Sequence[str], model: str, queries: bool) -> Call[list[list[float]]]:
    body = {"input": texts, "model": model, "input_type": "query" if queries else "document"}
    return Call("POST", "/v1/embeddings", _vectors, body)


def _vectors(response: httpx.Response) -> list[list[float]]:
    found = EmbeddingsAnswer.model_validate_json(response.content).data
    return [answer.embedding for answer in found if not isinstance(answer.embedding, str)]


def _tokenize(texts: Sequence[str], special: bool) -> Call[list[list[TokenAnswer]]]:
    return Call("POST", "/tokenize", _tokens, {"inputs": texts, "add_special_tokens": special})


def _tokens(response: httpx.Response) -> list[list[TokenAnswer]]:
    return TypeAdapter(list[list[TokenAnswer]]).validate_json(response.content)


def _models() -> Call[list[ModelAnswer]]:
    return Call("GET", "/v1/models", lambda r: ModelsAnswer.model_validate_json(r.content).data)


def _rerank(query: str, documents: Sequence[str], top_n: int | None, model: str) -> Call[list[CohereResult]]:
    body = {"query": query, "documents": documents, "top_n": top_n, "model": model}
    return Call("POST", "/v2/rerank", lambda r: CohereAnswer.model_validate_json(r.content).results, body)


class Models(Connection):
    """The models of a synchronous client."""

    def embed(self, texts: Texts, *, model: str = "default", queries: bool = False) -> list[list[float]]:
        """Return vectors of length one, in the order of the texts."""
        return self._send(_embed(listed(texts), model, queries))

    def tokenize(self, texts: Texts, *, special: bool = True) -> list[list[TokenAnswer]]:
        """Return the tokens of each text, as the default encoder reads it."""
        return self._send(_tokenize(listed(texts), special))

    def models(self) -> list[ModelAnswer]:
        """Return the encoders that requests can name."""
        return self._send(_models())

    def rerank(self, query: str, documents: Texts, top_n: int | None = None, *, model: str = "") -> list[CohereResult]:
        """Return the positions of the documents and their scores, best first."""
        return self._send(_rerank(query, listed(documents), top_n, model))

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

    async def tokenize(self, texts: Texts, *, special: bool = True) -> list[list[TokenAnswer]]:
        """Return the tokens of each text, as the default encoder reads it."""
        return await self._send(_tokenize(listed(texts), special))

    async def models(self) -> list[ModelAnswer]:
        """Return the encoders that requests can name."""
        return await self._send(_models())

    async def rerank(
        self, query: str, documents: Texts, top_n: int | None = None, *, model: str = ""
    ) -> list[CohereResult]:
        """Return the positions of the documents and their scores, best first."""
        return await self._send(_rerank(query, listed(documents), top_n, model))

    async def ready(self) -> bool:
        """Check whether the service can answer requests now."""
        try:
            return (await self._http.get("/readyz")).is_success
        except httpx.TransportError:
            return False
