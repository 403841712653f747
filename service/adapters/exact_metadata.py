"""Metadata that come back with the types that Python gave them.

JSON has fewer types than Python, and the service shows 1.0 as 1.  Where that loses something, a document has one more
field, ADAPTER_FIELD: a text of JSON with the paths of such values and their types.  Changes of other fields leave it
valid; a path that is gone is ignored.  The field also holds the parts of a framework's document that the service has no
place for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID

from retrieval.errors import InputError

ADAPTER_FIELD = "_attendex"
REF_DOC_FIELD = "_ref_doc_id"  # of LlamaIndex: the document that a node is a part of
RESERVED = frozenset({ADAPTER_FIELD, REF_DOC_FIELD})  # fields that people and agents need not see
TYPES = "types"  # in ADAPTER_FIELD

Path: TypeAlias = tuple[str | int, ...]

_INTEGERS = range(-(2**63), 2**64)  # that the service returns as integers
_RESTORE: Mapping[str, Callable[[Any], Any]] = {
    "float": float,
    "int": int,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "uuid": UUID,
    "decimal": Decimal,
    "tuple": tuple,
    "set": set,
    "none": lambda _: None,
}
_AS_TEXT: Mapping[type, str] = {datetime: "datetime", date: "date", time: "time", UUID: "uuid", Decimal: "decimal"}
_AS_LIST: Mapping[type, str] = {tuple: "tuple", set: "set"}


def sent_metadata(metadata: Mapping[str, Any], parts: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return metadata for the service, with ADAPTER_FIELD if they need it.

    `parts` are further values of JSON for that field.  Raises InputError for a name that is no text, or reserved.
    """
    if taken := RESERVED.intersection(metadata):
        raise InputError(f"the metadata name {min(taken)!r} is reserved for the adapters; rename the field")
    types: list[tuple[Path, str]] = []
    sent = {name: _sent(value, (name,), types) for name, value in _named(metadata).items()}
    kept = {**(parts or {}), **({TYPES: types} if types else {})}
    return {**sent, ADAPTER_FIELD: json.dumps(kept, ensure_ascii=False)} if kept else sent


def received_metadata(metadata: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return metadata as they were given to `sent_metadata`, and its `parts`."""
    received = {name: value for name, value in metadata.items() if name not in RESERVED}
    parts: dict[str, Any] = {}
    with suppress(TypeError, ValueError):  # another program's field of that name
        parts = dict(json.loads(metadata.get(ADAPTER_FIELD) or "{}"))
    for path, kind in parts.pop(TYPES, []):
        with suppress(LookupError, TypeError, ValueError):  # a value that was changed since
            received = _replaced(received, path, _RESTORE[kind])
    return received, parts


def _named(metadata: Mapping[Any, Any]) -> Mapping[str, Any]:
    for name in metadata:
        if not isinstance(name, str):
            raise InputError(f"the metadata name {name!r} is {type(name).__name__}, not text; make it text")
    return metadata


def _sent(value: Any, path: Path, types: list[tuple[Path, str]]) -> Any:
    """Return a value for JSON; note the types that it loses, inner ones first."""
    if hasattr(value, "tolist"):  # of numpy
        value = value.tolist()
    kind = _AS_TEXT.get(type(value))
    if kind:
        sent: Any = value.isoformat() if hasattr(value, "isoformat") else str(value)
    elif isinstance(value, Mapping):
        return {name: _sent(each, (*path, name), types) for name, each in _named(value).items()}
    elif isinstance(value, list | tuple | set):
        sent = [_sent(each, (*path, number), types) for number, each in enumerate(value)]
        kind = _AS_LIST.get(type(value))
    elif type(value) is int and value not in _INTEGERS:
        sent, kind = str(value), "int"
    else:
        sent, kind = value, "float" if isinstance(value, float) and value.is_integer() else None
    if kind:
        types.append((path, kind))
    return sent


def _replaced(value: Any, path: Sequence[str | int], restore: Callable[[Any], Any]) -> Any:
    """Return a copy of a value with the part at `path` restored."""
    if not path:
        return restore(value)
    copied = value.copy()
    copied[path[0]] = _replaced(value[path[0]], path[1:], restore)
    return copied
