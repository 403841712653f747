"""Collections, their documents and their changes on the wire."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from retrieval.bm25_options import MAX_SEARCHED
from service.schemas.base import (
    MAX_DOCUMENTS,
    MAX_IDS,
    MAX_NAMES,
    Name,
    RequestBody,
    Text,
    UrlParameters,
    examples,
    items,
)
from service.schemas.generations import MinGeneration

MAX_PART_TOKENS = 20_000


class TextParameters(UrlParameters):
    """A part of a document's text, as URL parameters."""

    id: Text = Field(min_length=1, description="Id of the document.")
    start: int = Field(default=0, ge=0, le=1_000_000_000, description="Offset in the text, in code points.")
    max_tokens: int = Field(default=2_000, ge=16, le=MAX_PART_TOKENS, description="Most tokens of the part.")


class DocumentsParameters(UrlParameters):
    """A page of documents, as URL parameters."""

    id: Text | None = Field(
        default=None, description="Return only the document with this id; it may contain any character."
    )
    filter: Text = Field(default="", description="Return only matching documents, such as `year > 2000`.")
    sort: Name = Field(default="", description="Fields to order by, such as `topic,-year`; empty: as written.")
    offset: int = Field(default=0, ge=0, le=1_000_000_000, description="Number of documents to skip.")
    after: Name = Field(
        default="", description="`next` of the page before: goes on in the same generation; excludes `offset`."
    )
    limit: int = Field(default=100, ge=1, le=1_000, description="Number of documents to return.")
    min_generation: MinGeneration = None


class ChangeParameters(UrlParameters):
    """How to answer a change, as URL parameters."""

    wait: bool = Field(
        default=False, description="Answer when the change is searchable, or with the job if that takes long."
    )
    webhook: str = Field(
        default="", max_length=2_000, description="Address that gets a POST request when the job has ended."
    )


FieldKind = Literal["string", "number", "boolean", "date", "strings", "numbers", "booleans", "dates"]
FieldName = Annotated[Name, Field(min_length=1)]
FieldKinds = Annotated[dict[FieldName, FieldKind], items(MAX_NAMES)]


class DocumentBody(RequestBody):
    """A document to add or replace; further fields become metadata."""

    id: str = Field(min_length=1, max_length=1_000)
    text: Text
    title: Text = ""
    metadata: dict[str, Any] = Field(default_factory=dict, max_length=MAX_IDS)

    model_config = ConfigDict(extra="allow")


class DocumentsBody(RequestBody):
    """Documents to add or replace.  Of two with the same id, the later one counts."""

    documents: Annotated[list[DocumentBody], items(MAX_DOCUMENTS)] = Field(min_length=1)

    model_config = examples({"documents": [{"id": "a1", "title": "Aspirin", "text": "It thins blood.", "year": 2003}]})


class PatchBody(RequestBody):
    """Changes of a document, a JSON merge patch (RFC 7396).

    Null removes a value; further fields are metadata.  The text cannot be removed.
    """

    title: Text | None = None
    text: Text | None = None
    metadata: dict[str, Any] | None = Field(default=None, max_length=MAX_IDS)

    model_config = ConfigDict(
        extra="allow", json_schema_extra={"examples": [{"price": 19.9, "discount": None}, {"title": "Rain jacket"}]}
    )

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        """Keep nulls: they remove values."""
        return value

    def changes(self) -> dict[str, Any]:
        """Return the values that the request has, by name."""
        own = {name: getattr(self, name) for name in PatchBody.model_fields if name in self.model_fields_set}
        return {**(self.model_extra or {}), **own}


class IdentifiedPatchBody(PatchBody):
    """Changes of the document with that id."""

    id: str = Field(min_length=1, max_length=1_000)

    model_config = examples({"id": "a1", "price": 19.9})


class PatchesBody(RequestBody):
    """Changes of documents.  Several changes of one document follow each other."""

    documents: Annotated[list[IdentifiedPatchBody], items(MAX_DOCUMENTS)] = Field(min_length=1)

    model_config = examples({"documents": [{"id": "a1", "price": 19.9}, {"id": "a2", "price": 5, "discount": None}]})


class DeleteBody(RequestBody):
    """The documents to delete: ids, a filter, or both."""

    ids: Annotated[list[Text], items(MAX_IDS)] = Field(default_factory=list)
    filter: Text = Field(default="", description="Delete every document that matches.")

    model_config = examples({"ids": ["a1"]}, {"filter": "year < 1990"})


class CollectionBody(RequestBody):
    """The encoder and the schema of a new collection."""

    encoder: Name = Field(default="default", description="A model of /v1/models.")
    fields: FieldKinds | None = Field(
        default=None, description="Metadata fields and their types; by default inferred from the documents."
    )
    expires: Name = Field(default="", description="Date field that tells until when a document is found.")
    searched_fields: Annotated[dict[FieldName, float], items(MAX_SEARCHED)] = Field(
        default_factory=dict, description="Metadata fields, and `id`, whose words are searched, with their weights."
    )

    model_config = examples(
        {}, {"fields": {"year": "number"}}, {"expires": "valid_until", "searched_fields": {"brand": 2, "id": 1}}
    )
