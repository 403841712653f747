"""Settings of answers: the model that writes them, and its bounds."""

from __future__ import annotations

from typing import Self

import httpx
from pydantic import Field, PositiveFloat, PositiveInt, SecretStr, field_validator, model_validator

from service.config.outgoing_settings import SettingsGroup


class AnswerSettings(SettingsGroup):
    """How questions are answered; without a model, by sentences of the documents."""

    url: str = Field(
        default="",
        description="Base address of a model that speaks the OpenAI protocol, such as http://127.0.0.1:11434/v1, which "
        "writes answers; empty: answers are the best sentences of the documents.",
    )
    model: str = Field(default="", description="Name of that model.")
    key: SecretStr | None = Field(default=None, description="API key of that model.")
    page: bool = Field(default=False, description="Offer answers on the search page.")
    context_tokens: PositiveInt = Field(
        default=2_000, ge=100, le=16_000, description="Tokens of the passages that an answer is made of, by default."
    )
    max_tokens: PositiveInt = Field(default=500, description="Maximum number of tokens that the model may write.")
    seconds: PositiveFloat = Field(
        default=25.0, description="Seconds that the model may take for an answer, within limits.seconds."
    )
    concurrent: PositiveInt = Field(
        default=4, description="Maximum number of answers that are made at once; more get 429."
    )
    bytes: PositiveInt = Field(
        default=1_000_000, description="Maximum number of bytes that are read from the model for an answer."
    )

    @field_validator("url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        """Return the address without a slash at its end."""
        if not url:
            return url
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise ValueError(f"is no address: {error}") from error
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ValueError("is no address; give http://HOST/PATH or https://HOST/PATH, such as https://host/v1")
        if parsed.userinfo or parsed.query or parsed.fragment:
            raise ValueError("has a user, a query or a fragment; give the key as answer.key")
        return url.rstrip("/")

    @field_validator("key")
    @classmethod
    def _is_one_word(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and not key.get_secret_value().isascii():
            raise ValueError("has characters that no header can have")
        if key is not None and key.get_secret_value().split() != [key.get_secret_value()]:
            raise ValueError("is blank or contains spaces; a key is one word")
        return key

    @model_validator(mode="after")
    def _names_a_model(self) -> Self:
        if bool(self.url) != bool(self.model):
            raise ValueError("names a model without its address, or the reverse; give both answer.url and answer.model")
        return self
