"""Text Embeddings Inference's routes on the wire."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from service.client.answers.base import Answer
from service.schemas.base import LenientRequestBody, Name, Text, Texts, WholeNumber, examples


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


Direction = Annotated[  # in any case; two names of an enumeration must not differ by case alone
    Literal["left", "right"],
    BeforeValidator(_lower),
    Field(description="Only `right` is supported: the end of a text is removed."),
]


class Truncation(LenientRequestBody):
    """The treatment of texts that are longer than the encoder reads."""

    truncate: bool | None = Field(default=None, description="false: refuse long texts; default: truncate them.")
    truncation_direction: Direction = "right"
    prompt_name: Name | None = Field(default=None, description="Prompt of the encoder: `query` or `document`.")


class EmbedBody(Truncation):
    """Texts to embed."""

    inputs: Text | Texts = Field(description="A text, or several.")
    normalize: bool = Field(default=True, description="Ignored: vectors of this service always have length one.")
    dimensions: WholeNumber | None = Field(default=None, ge=1, le=65_536, description="Leading components to keep.")

    model_config = examples({"inputs": ["heat transfer", "boundary layer"]})


class SimilarityInputs(LenientRequestBody):
    """A text and the texts to compare it with."""

    source_sentence: Text
    sentences: Texts = Field(min_length=1)


class SimilarityBody(LenientRequestBody):
    """Texts to compare."""

    inputs: SimilarityInputs
    parameters: Truncation | None = None

    model_config = examples({"inputs": {"source_sentence": "a cat", "sentences": ["a kitten", "a wing"]}})


class TokenizeBody(LenientRequestBody):
    """Texts to tokenize."""

    inputs: Text | Texts
    add_special_tokens: bool = True
    prompt_name: Name | None = None

    model_config = examples({"inputs": "heat transfer"})


class RankedAnswer(Answer):
    """One text of a rerank answer."""

    index: int
    score: float
    text: str | None = None


class InfoAnswer(Answer):
    """The encoder and the limits of the service."""

    model_id: str
    model_sha: str | None
    model_dtype: str
    served_model_name: str
    model_type: dict[str, Any]
    max_concurrent_requests: int
    max_input_length: int
    max_batch_tokens: int
    max_batch_requests: int | None
    max_client_batch_size: int
    auto_truncate: bool
    tokenization_workers: int
    version: str
    sha: str | None
    docker_label: str | None
