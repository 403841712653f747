"""Vectors and encoders, as OpenAI answers."""

from __future__ import annotations

from typing import Literal

from .base import Answer


class EmbeddingAnswer(Answer):
    """One vector: numbers, or base64 of little-endian float32."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class UsageAnswer(Answer):
    """Tokens that the encoder read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsAnswer(Answer):
    """Vectors in the order of the texts."""

    object: Literal["list"] = "list"
    data: list[EmbeddingAnswer]
    model: str
    usage: UsageAnswer


class ModelAnswer(Answer):
    """An encoder that requests can name."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class ModelsAnswer(Answer):
    """All encoders."""

    object: Literal["list"] = "list"
    data: list[ModelAnswer]
