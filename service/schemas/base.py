"""Base classes of the wire types."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, JsonValue, model_validator


def _whole(value: object) -> object:
    """Return an integer for 3.0: JSON does not tell them apart."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WholeNumber = Annotated[int, BeforeValidator(_whole)]  # in request bodies


def examples(*bodies: dict[str, JsonValue]) -> ConfigDict:
    """Return a configuration with example bodies for the OpenAPI document."""
    return ConfigDict(json_schema_extra={"examples": [*bodies]})


class _Body(BaseModel):
    """A request body, or an object in one; null means "not given"."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        if not isinstance(value, dict) or None not in value.values():
            return value
        optional = {name for name, field in cls.model_fields.items() if not field.is_required()}
        return {name: each for name, each in value.items() if each is not None or name not in optional}


class RequestBody(_Body):
    """A request body.  It refuses unknown names, and "3" for 3, so that mistakes show."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Answer(BaseModel):
    """An answer.  A client ignores the names that it does not know yet."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class LenientRequestBody(_Body):
    """A request body of another protocol.  It ignores unknown names."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, protected_namespaces=())
