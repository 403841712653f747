"""Jobs: changes that were accepted, their progress and their results."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from .base import Answer

JobStatus = Literal["queued", "running", "done", "failed"]


class PatchFailureAnswer(Answer):
    """A document that was not changed, and why."""

    id: str
    code: str = Field(description="Error code, for programs.")
    error: str


class JobFileAnswer(Answer):
    """A file of an upload, or a member of one that gives no document."""

    name: str
    status: Literal["read", "skipped", "failed"]
    reason: str = Field(default="", description="Why it gave no document, or not all of them.")
    documents: int = 0


class JobWebhookAnswer(Answer):
    """The state of a job's webhook."""

    url: str
    delivered: bool = Field(default=False, description="Whether the receiver has the message.")
    failures: int = Field(default=0, description="Attempts that failed.")
    error: str = Field(default="", description="Of the last attempt; empty after a success.")
    secret: str | None = Field(default=None, description="Key of the signatures; shown once, when it is made.")


class JobAnswer(Answer):
    """A change and its progress."""

    id: str
    collection: str
    status: JobStatus
    accepted: datetime | None = Field(default=None, description="When the change was made durable.")
    finished: datetime | None = Field(default=None, description="When it was applied, or failed.")
    generation: int | None = Field(default=None, description="The first generation that shows the change.")
    added: int = Field(default=0, description="Documents written, whether new or replaced.")
    unchanged: int = Field(default=0, description="Documents that the collection held already, unchanged.")
    updated: int = Field(default=0, description="Documents that patches changed.")
    deleted: int = 0
    failed: int = Field(default=0, description="Documents that were not changed, and files that gave no document.")
    failures: list[PatchFailureAnswer] = Field(
        default_factory=list, description="The first 100 documents that were not changed."
    )
    files: list[JobFileAnswer] = Field(
        default_factory=list, description="Files of an upload that were read; those that failed come first."
    )
    code: str = Field(default="", description="Error code, for programs.")
    error: str = Field(default="", description="Error message.")
    webhook: JobWebhookAnswer | None = Field(default=None, description="The message about the end of the job.")


class JobsAnswer(Answer):
    """Jobs, the newest first; `files` and `failures` are empty here."""

    jobs: list[JobAnswer]
