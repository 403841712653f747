"""Arguments and answers of the tools for agents (MCP)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from service.schemas.collections import MAX_PART_TOKENS

MAX_COLLECTIONS = 100  # of a list
MAX_ADDED = 100  # documents of one call
MAX_CHARACTERS = 10_000  # of a query or an id

CollectionName = Annotated[str, Field(max_length=200, description="The collection; not needed if there is only one.")]
QueryArgument = Annotated[str, Field(min_length=1, max_length=MAX_CHARACTERS)]
IdArgument = Annotated[str, Field(min_length=1, max_length=MAX_CHARACTERS)]


class ToolArguments(BaseModel):
    """Arguments of a tool; unknown ones are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoArguments(ToolArguments):
    """A tool without arguments."""


class SearchArguments(ToolArguments):
    """A search."""

    query: QueryArgument = Field(description="A question or key words.")
    collection: CollectionName = ""
    filter: str = Field(default="", max_length=MAX_CHARACTERS, description="Condition on fields; empty: all documents.")
    k: int = Field(default=5, ge=1, le=20, description="Most documents.")
    offset: int = Field(default=0, ge=0, le=1_000, description="Documents to skip: `next_offset` of the answer before.")
    max_tokens: int = Field(default=2_000, ge=100, le=MAX_PART_TOKENS, description="Most tokens of all passages.")


class FetchArguments(ToolArguments):
    """The part of a document to read."""

    id: IdArgument = Field(description="Id of a document, as a search gave it.")
    collection: CollectionName = ""
    start: int = Field(default=0, ge=0, le=1_000_000_000, description="Offset in the text; `next_start` reads on.")
    max_tokens: int = Field(default=4_000, ge=100, le=MAX_PART_TOKENS, description="Most tokens of the text.")


class ExplainArguments(ToolArguments):
    """The match to explain."""

    query: QueryArgument = Field(description="The query.")
    id: IdArgument = Field(description="Id of any document of the collection.")
    collection: CollectionName = ""


class AddedDocument(ToolArguments):
    """A document to add or replace."""

    id: IdArgument
    title: str = Field(default="", max_length=MAX_CHARACTERS)
    text: str = Field(min_length=1, max_length=1_000_000)
    metadata: dict[str, Any] = Field(default_factory=dict, max_length=100)


class AddArguments(ToolArguments):
    """Documents to add."""

    documents: list[AddedDocument] = Field(min_length=1, max_length=MAX_ADDED)
    collection: CollectionName = ""


class DeleteArguments(ToolArguments):
    """Documents to delete."""

    ids: list[IdArgument] = Field(min_length=1, max_length=MAX_ADDED)
    collection: CollectionName = ""


class FoundPassage(BaseModel):
    """A passage of a document; `start` and `end` are offsets in its text."""

    text: str
    start: int
    end: int
    location: str = Field(description="Page, heading or place in the document, if known.")


class FoundDocument(BaseModel):
    """A document that matches."""

    id: str
    title: str
    score: float
    passages: list[FoundPassage]
    metadata: dict[str, Any] = Field(description="The first 20 fields whose values are short.")


class FoundDocuments(BaseModel):
    """Documents, best first."""

    collection: str
    hits: list[FoundDocument]
    total: int = Field(description="Documents that match; at least so many unless `total_is_exact`.")
    total_is_exact: bool
    nothing_close: bool = Field(description="Whether no document is close to the query.")
    next_offset: int | None = Field(description="`offset` of the search that goes on; null at the end.")


class FetchedText(BaseModel):
    """A part of the text of a document."""

    collection: str
    id: str
    title: str
    text: str
    start: int
    end: int
    length: int = Field(description="Characters of the whole text.")
    next_start: int | None = Field(description="`start` of the next part; null at the end.")


class ListedField(BaseModel):
    """A metadata field, with frequent values or its extremes."""

    name: str
    type: str
    values: list[str]


class ListedCollection(BaseModel):
    """A collection."""

    name: str
    documents: int
    passages: int
    fields: list[ListedField]


class ListedCollections(BaseModel):
    """The collections that the caller may search, by name."""

    collections: list[ListedCollection]


class ExplainedPair(BaseModel):
    """A word of the query, a word of the passage, and their share of the cosine."""

    query: str
    passage: str
    score: float


class ExplainedTerm(BaseModel):
    """A term of the query and its share of the BM25 score."""

    term: str
    score: float


class ExplainedDocument(BaseModel):
    """Why the best passage of a document matches."""

    collection: str
    id: str
    start: int = Field(description="Offset of the passage in the text.")
    end: int
    dense: float | None = Field(description="Cosine of query and passage.")
    lexical: float | None = Field(description="BM25 score of the passage.")
    pairs: list[ExplainedPair] = Field(description="Pairs of words with the largest shares of the cosine.")
    terms: list[ExplainedTerm]


class ChangedCollection(BaseModel):
    """The outcome of a change."""

    collection: str
    changed: int = Field(description="Documents added, replaced or deleted.")
    generation: int | None
