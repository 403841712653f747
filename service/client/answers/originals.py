"""Originals: the files from which documents were read."""

from __future__ import annotations

from pydantic import Field

from .base import Answer


class OriginalAnswer(Answer):
    """The original of a document: a file as it was uploaded."""

    id: str = Field(description="Id of the document.")
    name: str = Field(description="Name of the file.")
    size_bytes: int
    sha256: str
    media_type: str = Field(description="Content type with which it is sent.")


class OriginalsAnswer(Answer):
    """The originals that are kept, of the documents that were asked for."""

    originals: list[OriginalAnswer]
