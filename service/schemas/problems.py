"""Errors and probes on the wire."""

from __future__ import annotations

from pydantic import Field

from service.client.answers.base import Answer


class HealthAnswer(Answer):
    """The service is alive."""

    status: str = "ok"


class CheckAnswer(Answer):
    """A failed check."""

    check: str
    detail: str


class ReadyAnswer(Answer):
    """The readiness of the service and its failed checks."""

    status: str
    failed: list[CheckAnswer] = Field(default_factory=list)
    warnings: list[CheckAnswer] = Field(default_factory=list)


class OpenAIErrorDetail(Answer):
    """The members of OpenAI's error object."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class OpenAIErrorAnswer(Answer):
    """OpenAI's error object."""

    error: OpenAIErrorDetail


class TeiErrorAnswer(Answer):
    """Text Embeddings Inference's error object."""

    error: str
    error_type: str


class CohereErrorAnswer(Answer):
    """Cohere's error object."""

    id: str
    message: str
