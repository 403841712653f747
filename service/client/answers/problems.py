"""Problem documents."""

from __future__ import annotations

from pydantic import Field

from .base import Answer


class FieldProblemAnswer(Answer):
    """An error in one part of a request."""

    pointer: str = Field(description="JSON pointer into the body, or the name of a parameter.")
    detail: str


class ProblemAnswer(Answer):
    """A problem document (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    instance: str = ""
    code: str = Field(default="", description="Error code, for programs.")
    request_id: str = ""
    errors: list[FieldProblemAnswer] = Field(default_factory=list)
