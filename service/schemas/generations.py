"""The generation that a request needs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from service.schemas.base import WholeNumber

MAX_GENERATION = 2**53  # that JSON holds exactly

MinGeneration = Annotated[
    WholeNumber | None,
    Field(
        ge=1,
        le=MAX_GENERATION,
        description="Oldest generation that may answer; the service waits for it, and answers 409 if it does not come.",
    ),
]
