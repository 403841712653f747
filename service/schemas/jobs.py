"""Requests about jobs on the wire."""

from __future__ import annotations

from pydantic import Field

from service.client.answers.jobs import JobStatus
from service.schemas.base import UrlParameters


class JobsParameters(UrlParameters):
    """Which jobs to return, as URL parameters."""

    status: JobStatus | None = Field(default=None, description="Return only jobs of this status.")
    limit: int = Field(default=100, ge=1, le=1_000, description="Maximum number of jobs.")
