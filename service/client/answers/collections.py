"""Collections and their documents."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from .base import Answer


class CollectionAnswer(Answer):
    """A collection in a list."""

    name: str
    documents: int = Field(description="Live documents.")
    passages: int = Field(description="Live passages.")
    generation: int
    encoder: str = Field(description="Name of the encoder that made it.")
    originals: int = Field(default=0, description="Documents whose original is kept.")


class EncoderAnswer(Answer):
    """The fingerprint of the encoder that made a collection."""

    name: str
    weights_sha256: str
    tokenizer_sha256: str
    pooling: str
    normalize: bool
    query_prompt: str
    passage_prompt: str
    max_tokens: int
    dimension: int
    quantized_from: str = Field(default="", description="Digest of the weights that an int8 encoder was made from.")


class RecallAnswer(Answer):
    """The measured recall of approximate search, over a sample of live queries."""

    ratio: float = Field(description="Recall@10.")
    low: float = Field(description="Lower end of the 95 % interval.")
    high: float = Field(description="Upper end of the 95 % interval.")
    queries: int = Field(description="Queries sampled.")


class CollectionDetails(CollectionAnswer):
    """All facts about one collection."""

    fingerprint: EncoderAnswer
    fields: dict[str, str] = Field(description="Metadata fields and their types.")
    expires: str = Field(default="", description="Date field that tells until when a document is found.")
    searched_fields: dict[str, float] = Field(
        default_factory=dict, description="Metadata fields, and `id`, whose words are searched, with their weights."
    )
    modes: list[str] = Field(description="Modes that searches may ask for.")
    size_bytes: int = Field(description="Bytes of the open generation on disk.")
    recall: RecallAnswer | None = Field(default=None, description="Measured recall of approximate vector search.")
    writable: bool = Field(default=False, description="Whether the caller may change the documents.")
    source_age_seconds: float | None = Field(
        default=None, description="Seconds since this copy was last known to equal its source; null: it is no copy."
    )


class CollectionsAnswer(Answer):
    """The collections that the caller may access, by name."""

    collections: list[CollectionAnswer]


class DocumentAnswer(Answer):
    """A document as the user added it."""

    id: str
    title: str
    text: str
    metadata: dict[str, Any] = Field(description="Each value as it was given.")
    # From the header of the answer for one document: a document has no field that its user did not give.
    etag: str = Field(default="", exclude=True)


class TextPartAnswer(Answer):
    """A part of a document's text; `next_start` reads on, and is null at the end."""

    id: str
    title: str
    text: str
    start: int
    end: int
    length: int = Field(description="Code points of the whole text.")
    next_start: int | None


class DocumentsAnswer(Answer):
    """A page of documents."""

    documents: list[DocumentAnswer]
    total: int = Field(description="Documents that match, on all pages.")
    next: str | None = Field(default=None, description="`after` of the next page; null on the last one.")
