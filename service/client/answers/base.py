"""The base class of answers, and the values of metadata."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

MetadataValue = str | int | float | bool | datetime | list[str]


class Answer(BaseModel):
    """An answer.  A client ignores the names that it does not know yet."""

    model_config = ConfigDict(extra="ignore", frozen=True)
