"""What all wire types share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Wire(BaseModel):
    """A request body; names that it does not know are refused, so that a misspelt option is not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(BaseModel):
    """An answer; a client ignores names that it does not know yet."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class LenientWire(BaseModel):
    """A request body of another protocol, whose clients may send more than the service knows."""

    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=())
