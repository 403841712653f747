"""The synchronization of a collection with its sources."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from .base import Answer


class SourceStatusAnswer(Answer):
    """How the last synchronization of a source ended, in numbers of items."""

    source: str = Field(description="Its address, without a token.")
    ended: datetime = Field(description="When the last synchronization ended.")
    succeeded: datetime | None = Field(default=None, description="When the last one without an error ended.")
    next: datetime | None = Field(default=None, description="When the next one is due; null if it ran once.")
    items: int = Field(default=0, description="Items that the source lists.")
    read: int = 0
    unchanged: int = 0
    failed: int = Field(default=0, description="Items without a document, or read only in part.")
    deleted: int = 0
    missing: int = Field(default=0, description="Items that the source lacks, and whose documents stay for now.")
    repeated: int = Field(default=0, description="Items with the id of an earlier item, which are left out.")
    error: str = Field(default="", description="Why the source or the collection failed; empty without an error.")


class SyncAnswer(Answer):
    """The sources of a collection, the newest first; empty without any."""

    sources: list[SourceStatusAnswer]
