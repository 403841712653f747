"""OpenAI's routes: embeddings and models."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response

from retrieval.errors import EmptyInput, InputError, TooLarge
from retrieval.types import Vectors
from retrieval.util.work_budget import NUMBER_BYTES, spend_answer_bytes
from service.client.answers.openai import EmbeddingsAnswer, ModelAnswer, ModelsAnswer
from service.config.api_keys import Role
from service.config.settings import RequestLimits
from service.http.problems import OPENAI
from service.queues.embedding_queue import EmbeddingRequest, EmbeddingResult
from service.routes.base import JsonRoute, authorized, json_answer, json_response
from service.runtime.encoder_registry import shown_name
from service.schemas.openai import EmbeddingsBody


class OpenAIRoute(JsonRoute):
    """A route with OpenAI's errors."""

    dialect = OPENAI


router = APIRouter(prefix="/v1", tags=["openai"], route_class=OpenAIRoute)


@router.post("/embeddings", response_model=EmbeddingsAnswer, summary="Embed texts (OpenAI)")
async def embeddings(body: EmbeddingsBody, request: Request) -> Response:
    """Return vectors of length one; texts that are too long are truncated."""
    services = authorized(request, Role.READ)
    texts = checked_texts(body.input, services.settings.limits)
    encoder = services.encoders.resolve(body.model)
    found = await services.embeddings.embed(EmbeddingRequest(encoder, texts, queries=body.input_type == "query"))
    vectors = shortened(found.vectors, body.dimensions)
    spend_answer_bytes(vectors.size * NUMBER_BYTES)
    return await json_answer(_content(found, vectors, body))


@router.get("/models", response_model=ModelsAnswer, summary="All encoders (OpenAI)")
async def models(request: Request) -> Response:
    """Return the encoders for /v1/embeddings; `default` means the first one."""
    names = authorized(request, Role.READ).encoders.names()
    return json_response({"object": "list", "data": [_model(name) for name in names]})


@router.get("/models/{model:path}", response_model=ModelAnswer, summary="One encoder (OpenAI)")
async def model(model: str, request: Request) -> Response:
    """Return one encoder; 404 for a model that the service does not have."""
    return json_response(_model(authorized(request, Role.READ).encoders.resolve(model)))


def checked_texts(given: str | list[str], limits: RequestLimits) -> tuple[str, ...]:
    """Return the texts.  Raises EmptyInput for no or an empty text, TooLarge."""
    texts = (given,) if isinstance(given, str) else tuple(given)
    if not texts or not all(texts):
        raise EmptyInput("the input has no text or an empty text; give each text at least one character")
    if len(texts) > limits.texts:
        raise TooLarge(f"{len(texts):,} texts are over the limit of {limits.texts:,}; send them in parts")
    longest = max(map(len, texts))
    if longest > limits.text_characters:
        raise TooLarge(f"a text of {longest:,} characters is over the limit of {limits.text_characters:,}; split it")
    return texts


def shortened(vectors: Vectors, dimensions: int | None) -> Vectors:
    """Return the first components of each vector, normalized (Matryoshka)."""
    if dimensions is None:
        return vectors
    if dimensions > vectors.shape[1]:
        raise InputError(f"dimensions: {dimensions} is more than the encoder has; give at most {vectors.shape[1]}")
    cut = vectors[:, :dimensions]
    lengths = np.linalg.norm(cut, axis=1, keepdims=True)
    return np.ascontiguousarray(cut / np.maximum(lengths, np.float32(1e-12)), dtype=np.float32)


def _content(found: EmbeddingResult, vectors: Vectors, body: EmbeddingsBody) -> dict[str, Any]:
    encoded = [_base64(vector) for vector in vectors] if body.encoding_format == "base64" else list(vectors)
    tokens = sum(found.tokens)
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(encoded)],
        "model": body.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _base64(vector: np.ndarray[Any, np.dtype[np.float32]]) -> str:
    return base64.b64encode(vector.astype("<f4", copy=False).tobytes()).decode()


def _model(name: str) -> dict[str, object]:
    return {"id": shown_name(name), "object": "model", "created": 0, "owned_by": "attendex"}
