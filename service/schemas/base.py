"""Base classes of the wire types."""

from __future__ import annotations

import difflib
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

# Maxima that hold before the limits of the settings are checked.
MAX_SEARCHES = 1_024
MAX_DOCUMENTS = 10_000
MAX_TEXTS = 16_384
MAX_IDS = 100_000
MAX_NAMES = 1_000  # of fields
MAX_CHARACTERS = 100_000_000  # of a text
MAX_NAME_CHARACTERS = 1_000  # of a model, a field or a prompt
MAX_MEMBERS = 50  # of an object without free names: each unknown name would be an error of its own


def _whole(value: object) -> object:
    """Return an integer for 3.0: JSON does not tell them apart."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def items(maximum: int) -> Any:
    """Return the bound of a list or an object.

    Its validation stops at the first wrong item.
    """
    return Field(max_length=maximum, fail_fast=True)


WholeNumber = Annotated[int, BeforeValidator(_whole)]  # in request bodies


Text = Annotated[str, Field(max_length=MAX_CHARACTERS)]
Name = Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)]
Texts = Annotated[list[Text], items(MAX_TEXTS)]
Names = Annotated[list[Name], items(MAX_NAMES)]


def examples(*bodies: dict[str, JsonValue]) -> ConfigDict:
    """Return a configuration with example bodies for the OpenAPI document."""
    return ConfigDict(json_schema_extra={"examples": [*bodies]})


def query_or_examples(*bodies: dict[str, JsonValue]) -> ConfigDict:
    """Return a configuration that says what a search must have, with example bodies."""
    given: dict[str, JsonValue] = {"not": {"type": "null"}}
    has_query: dict[str, JsonValue] = {"required": ["query"], "properties": {"query": given}}
    has_like: dict[str, JsonValue] = {"required": ["like"], "properties": {"like": {**given, "minItems": 1}}}
    has_vector: dict[str, JsonValue] = {"required": ["vector"], "properties": {"vector": given}}
    return ConfigDict(json_schema_extra={"anyOf": [has_query, has_like, has_vector], "examples": [*bodies]})


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

    @model_validator(mode="before")
    @classmethod
    def _has_few_names(cls, given: Any) -> Any:
        """Refuse many unknown names with one error."""
        limit = max(MAX_MEMBERS, len(cls.model_fields))
        if cls.model_config.get("extra") == "forbid" and isinstance(given, dict) and len(given) > limit:
            raise ValueError(f"has {len(given):,} names; the names here are {', '.join(cls.model_fields)}")
        return given

    @model_validator(mode="wrap")
    @classmethod
    def _suggests_names(cls, given: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        """Name the nearest known name in the error of each unknown one."""
        try:
            return validate(given)
        except ValidationError as error:
            found = error.errors(include_url=False)
            if not any(_is_unknown(each["type"], each["loc"]) for each in found):
                raise
            details = [_with_suggestion(each, list(cls.model_fields)) for each in found]
            raise ValidationError.from_exception_data(cls.__name__, details) from None


def _is_unknown(kind: str, location: tuple[int | str, ...]) -> bool:
    return kind == "extra_forbidden" and len(location) == 1


def _with_suggestion(found: Any, known: list[str]) -> Any:
    message = found["msg"].removeprefix("Value error, ")
    if _is_unknown(found["type"], found["loc"]):
        nearest = difflib.get_close_matches(str(found["loc"][0])[:MAX_NAME_CHARACTERS], known, 1)
        names = f"did you mean {nearest[0]}?" if nearest else f"the names here are {', '.join(known)}"
        message = f"is no known name; {names}"
    return {"type": "value_error", "loc": found["loc"], "input": found["input"], "ctx": {"error": ValueError(message)}}


class UrlParameters(RequestBody):
    """The parameters of a URL, which are all text.  It refuses unknown names, too."""

    model_config = ConfigDict(strict=False)


class LenientRequestBody(_Body):
    """A request body of another protocol.  It ignores unknown names."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, protected_namespaces=())
