"""What the service tells about its collections and their documents."""

from __future__ import annotations

from pydantic import Field

from service.schemas.base import Answer
from service.schemas.search import MetadataValue


class CollectionAnswer(Answer):
    """A collection in a list."""

    name: str
    documents: int = Field(description="Live documents.")
    passages: int = Field(description="Live passages.")
    generation: int
    encoder: str = Field(description="Name of the encoder that made it.")


class EncoderAnswer(Answer):
    """The encoder that made a collection, and what makes it the same encoder elsewhere."""

    name: str
    weights_sha256: str
    tokenizer_sha256: str
    pooling: str
    normalize: bool
    query_prompt: str
    passage_prompt: str
    max_tokens: int
    dimension: int
    quantized_from: str = Field(default="", description="Weights that an int8 encoder was made from.")


class RecallAnswer(Answer):
    """How often approximate search found what exact search finds, over a sample of live queries."""

    ratio: float = Field(description="Recall@10.")
    low: float = Field(description="Lower end of the 95 % interval.")
    high: float = Field(description="Upper end of the 95 % interval.")
    queries: int = Field(description="Queries sampled.")


class CollectionDetails(CollectionAnswer):
    """Everything about one collection."""

    fingerprint: EncoderAnswer
    fields: dict[str, str] = Field(description="Metadata fields and their types.")
    modes: list[str] = Field(description="Modes that searches may ask for.")
    size_bytes: int = Field(description="Bytes of the open generation on disk.")
    recall: RecallAnswer | None = Field(default=None, description="Recall of the vector search, where it is watched.")


class CollectionsAnswer(Answer):
    """All collections that the caller may see, by name."""

    collections: list[CollectionAnswer]


class DocumentAnswer(Answer):
    """A document as it was given."""

    id: str
    title: str
    text: str
    metadata: dict[str, MetadataValue]


class DocumentsAnswer(Answer):
    """A page of documents."""

    documents: list[DocumentAnswer]
    total: int = Field(description="Documents that match, on all pages.")
