"""What all wire types share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, JsonValue


def _whole(value: object) -> object:
    """In JSON, 3.0 is an integer."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WholeNumber = Annotated[int, BeforeValidator(_whole)]  # an integer of a request body


def examples(*bodies: dict[str, JsonValue]) -> ConfigDict:
    """Examples of a body for the OpenAPI document."""
    return ConfigDict(json_schema_extra={"examples": [*bodies]})


class RequestBody(BaseModel):
    """A request body; unknown names and "3" for 3 are refused, so that no mistake goes unnoticed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Answer(BaseModel):
    """An answer; a client ignores names that it does not know yet."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class LenientRequestBody(BaseModel):
    """A request body of another protocol, whose clients may send more than the service knows."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, protected_namespaces=())
