"""OpenAI's embeddings and models on the wire."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from service.schemas.base import LenientRequestBody, Name, Text, Texts, WholeNumber, examples

TOKEN_ARRAYS = (
    "`input` holds token ids, but this service takes text: its encoder has another tokenizer. "
    "With LangChain's OpenAIEmbeddings, set check_embedding_ctx_length=False"
)


class EmbeddingsBody(LenientRequestBody):
    """Texts to embed."""

    input: Text | Texts = Field(description="A text, or up to 2,048 texts; not empty.")
    model: Name = Field(description="Name of the encoder, as /v1/models lists it.")
    encoding_format: Literal["float", "base64"] = Field(default="float", description="Format of the vectors.")
    dimensions: WholeNumber | None = Field(
        default=None, ge=1, le=65_536, description="Number of leading components to keep; vectors are normalized again."
    )
    input_type: Literal["query", "document"] | None = Field(
        default=None, description="Prompt of the encoder for the texts; default: document."
    )
    user: Name | None = Field(default=None, description="Ignored.")

    model_config = examples(
        {"input": "a short text", "model": "sentence-transformers/all-MiniLM-L6-v2"},
        {"input": ["one", "two"], "model": "default", "encoding_format": "base64"},
    )

    @field_validator("input", mode="before")
    @classmethod
    def _is_text(cls, value: Any) -> Any:
        if isinstance(value, list) and value and isinstance(value[0], int | list):
            raise ValueError(TOKEN_ARRAYS)
        return value
