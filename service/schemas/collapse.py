"""Collapse on the wire: one hit for several documents."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from retrieval.collapsed import LOWEST_NEAR
from service.schemas.base import Name, RequestBody

_FIELD = "Field: of the documents with one value only the best is a hit"


def _near(**options: Any) -> Any:
    description = "Cosine, such as 0.97: of hits that are at least so near only the first stays."
    return Field(ge=LOWEST_NEAR, le=1, description=description, **options)


class NearDuplicatesBody(RequestBody):
    """Collapse hits with nearly equal vectors."""

    near: float = _near()


class BodyCollapse(BaseModel):
    """How to collapse, in a body."""

    collapse: Name | NearDuplicatesBody = Field(default="", description=f"{_FIELD}; or `near`, for near duplicates.")

    def collapse_options(self) -> tuple[str, float | None]:
        """Return the field and the least cosine, at most one of them."""
        return (self.collapse, None) if isinstance(self.collapse, str) else ("", self.collapse.near)


class UrlCollapse(BaseModel):
    """How to collapse, in URL parameters."""

    collapse: Name = Field(default="", description=f"{_FIELD}.")
    collapse_near: float | None = _near(default=None)

    def collapse_options(self) -> tuple[str, float | None]:
        """Return the field and the least cosine; the searcher refuses both."""
        return self.collapse, self.collapse_near
