"""Calls: a request of the service's interface, and how its answer is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Generic, TypeAlias, TypeVar
from urllib.parse import quote
from uuid import UUID

import httpx

from .answers.base import Answer

T = TypeVar("T")
AnswerT = TypeVar("AnswerT", bound=Answer)
Document = Mapping[str, Any]  # id and text; title, metadata and further fields
Changes = Mapping[str, Any]  # id, and the fields to change; None removes one

FilePart: TypeAlias = tuple[str, bytes | BinaryIO]  # name and content of a file
Texts: TypeAlias = str | Sequence[str]  # one text, or several


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request, and the function that reads its answer."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    body: Any = None
    params: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[FilePart] = ()

    @property
    def sent(self) -> dict[str, Any]:
        """The request's body, parameters and headers, in arguments of httpx."""
        given = {"params": self.params, "headers": self.headers}
        if self.files:  # a form, with the body in the field "options"
            return {**given, "files": [("files", each) for each in self.files], "data": {"options": _json(self.body)}}
        if self.body is None:
            return given
        headers = {**self.headers, "Content-Type": "application/json"}
        return {**given, "content": _json(self.body), "headers": headers}


def reads(answer: type[AnswerT]) -> Callable[[httpx.Response], AnswerT]:
    """Return the function that reads an answer of this type."""
    return lambda response: answer.model_validate_json(response.content)


def reads_nothing(_: httpx.Response) -> None:
    """Ignore the body of an answer."""


def path_of(collection: str, *parts: str) -> str:
    """Return the path of a collection, or of a part of it.  Ids cannot lead elsewhere."""
    return "/".join(["/v1/collections", segment(collection), *(_segments(part) for part in parts)])


def listed(texts: Texts) -> list[str]:
    """Return the texts as a list, also a single one."""
    return [texts] if isinstance(texts, str) else list(texts)


def _segments(part: str) -> str:
    """Return a quoted path part; slashes in it cannot lead to another path."""
    return "/".join(map(segment, part.split("/")))


def segment(text: str) -> str:
    """Return a quoted segment of a path."""
    quoted = quote(text, safe="")
    return quoted.replace(".", "%2E") if quoted in (".", "..") else quoted


def _json(body: Any) -> bytes:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_json_value)
    return text.encode()


def _json_value(value: Any) -> Any:
    """Return a value of Python's as JSON: dates and UUIDs as text, numbers of numpy."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} {value!r} has no form in JSON; convert it to text or a number")
