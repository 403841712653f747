"""Metadata as the user gave them, in JSON, beside the typed columns.

A column has one type, so that a date gains a time, names of inner objects get dots and null vanishes.  The JSON is kept
for the documents whose typed values differ from the given ones.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import date, datetime
from typing import Any

from retrieval.index.metadata.schema import plain_number
from retrieval.types import Document, Metadata

MAX_DEPTH = 100  # levels of lists and objects; JSON writers of clients and of the service have limits, too
_INTEGERS = range(-(2**63), 2**64)  # that these writers know


def to_json(metadata: Mapping[str, Any]) -> str:
    """Return metadata as JSON text.  Raises RecursionError beyond MAX_DEPTH levels."""
    return json.dumps(_plain(metadata), ensure_ascii=False)


def given_json(metadata: Mapping[str, Any], typed: Metadata) -> str:
    """Return flat metadata as JSON text; "" if the typed values are equal to them."""
    if metadata.keys() == typed.keys() and all(_is_equal(value, typed[name]) for name, value in metadata.items()):
        return ""
    return to_json({name: plain_number(value) for name, value in metadata.items()})


def shown_metadata(document: Document, fields: Collection[str] | None = None) -> Mapping[str, Any]:
    """Return a stored document's metadata as they were given, or some of its fields.

    A field inside an object has its dotted name if it is asked for; the whole object has its own.
    """
    given = json.loads(document.given) if document.given else document.metadata
    if fields is None:
        return given
    known = {**document.metadata, **{name: value for name, value in given.items() if value is not None}}
    return {name: value for name, value in known.items() if name in fields}


def _is_equal(value: Any, typed: Any) -> bool:
    """Check whether a typed value is shown as the given one."""
    if isinstance(typed, tuple):
        is_list = isinstance(value, list | tuple) and len(value) == len(typed)
        return is_list and all(map(_is_equal, value, typed))
    if isinstance(typed, datetime):
        return isinstance(value, date) or value == typed.isoformat()
    if isinstance(typed, float) and not isinstance(value, bool):
        return isinstance(value, int | float) and value == typed
    return type(value) is type(typed) and value == typed


def _plain(value: Any, depth: int = 0) -> Any:
    """Return a value of JSON: other values as text, bytes left out."""
    if depth > MAX_DEPTH:
        raise RecursionError
    if isinstance(value, Mapping):
        return {str(name): _plain(each, depth + 1) for name, each in value.items() if not isinstance(each, bytes)}
    if isinstance(value, list | tuple):
        return [_plain(each, depth + 1) for each in value]
    if isinstance(value, str | bool | None) or (isinstance(value, int) and value in _INTEGERS):
        return value
    if isinstance(value, float) and value - value == 0:  # a finite number
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
