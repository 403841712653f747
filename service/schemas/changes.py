"""Changing collections over HTTP."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from service.schemas.base import Answer, Wire

FieldName = Annotated[str, Field(min_length=1)]


class DocumentBody(Wire):
    """A document to add, or to put in the place of the one with the same id.

    Fields beside these become metadata, like those under `metadata`.
    """

    id: str = Field(min_length=1, max_length=1_000)
    text: str
    title: str = ""
    metadata: dict[str, Any] = Field(default_factory=dict)

    model_config = ConfigDict(extra="allow")


class DocumentsBody(Wire):
    """Documents to add or replace; a later one replaces an earlier one of the same id."""

    documents: list[DocumentBody] = Field(min_length=1)

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"documents": [{"id": "a1", "title": "Aspirin", "text": "Aspirin thins blood.", "year": 2003}]}
            ]
        }
    )


class DeleteBody(Wire):
    """Which documents to delete: ids, or a filter, or both."""

    ids: list[str] = Field(default_factory=list, max_length=100_000)
    filter: str = Field(default="", description="Delete every document that matches.")

    model_config = ConfigDict(json_schema_extra={"examples": [{"ids": ["a1"]}, {"filter": "year < 1990"}]})


class CollectionBody(Wire):
    """How a new collection is made."""

    encoder: str = Field(default="default", description="A model of /v1/models.")
    fields: dict[FieldName, Literal["string", "number", "boolean", "date", "strings"]] | None = Field(
        default=None, description="Metadata fields and their types; by default inferred from the documents."
    )

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"fields": {"year": "number"}}]})


class JobAnswer(Answer):
    """A change on its way, or what became of it."""

    id: str
    collection: str
    status: Literal["queued", "running", "done", "failed"]
    generation: int | None = Field(default=None, description="The first generation that shows the change.")
    added: int = Field(default=0, description="Documents written, whether new or replaced.")
    unchanged: int = Field(default=0, description="Documents that were there already as they are.")
    deleted: int = 0
    code: str = Field(default="", description="What went wrong, for programs.")
    error: str = Field(default="", description="What went wrong.")
