"""Records (a JSON object, a row of a table) become documents: one set of conventions for all of them.

Id, title and text stand in their fields; the object under `metadata` and every other field become metadata, nested
objects by dotted names.  Values keep their type: string, number, boolean, list of strings; dates stay ISO 8601
strings, which the collection's schema recognises.  Null is the same as absent.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

from indexer.readers.base.options import ReadOptions
from retrieval.errors import BadDocument
from retrieval.types import Document, MetadataValue

DEEPEST = 16  # levels of nested metadata
UNENCODABLE = "holds half of a surrogate pair, which is not Unicode text"


def fields_problem(names: Sequence[str], options: ReadOptions) -> str:
    """Why rows with these fields are no records; "" where they are."""
    id_fields = (options.id_field,) if options.id_field else ("_id", "id")
    for wanted, option in ((id_fields, "--id-field"), ((options.text_field,), "--text-field")):
        if not set(wanted) & set(names):
            shown = " or ".join(map(repr, wanted))
            return f"the header has no column {shown} (columns: {', '.join(names[:12])}); name another with {option}"
    return ""


def document_from(record: Mapping[str, Any], options: ReadOptions, *, allow_empty: bool = False) -> Document:
    """The document that `record` describes.

    Raises BadDocument (without a place) when the id or the text is missing or of the wrong kind.  `allow_empty`
    accepts a document without a single character, which test collections hold.
    """
    id_field = options.id_field or ("_id" if "_id" in record else "id")
    title = _string(record.get(options.title_field), options.title_field)
    text = _string(record.get(options.text_field), options.text_field)
    if not text and not (allow_empty and options.text_field in record):
        _require_text(record, options.text_field, title)
    used = (id_field, options.title_field, options.text_field)
    rest = {key: value for key, value in record.items() if key not in used} if len(record) > 2 else {}
    return Document(_id(record, id_field), text, title, metadata_from(rest) if rest else {})


def _require_text(record: Mapping[str, Any], field: str, title: str) -> None:
    """A title alone is a document where the text is there and empty; nothing at all is not."""
    if record.get(field) is None:
        known = ", ".join(sorted(record)[:12]) or "none"
        raise BadDocument(f"no text: field {field!r} is missing (fields: {known}); name another with --text-field")
    if not title:
        raise BadDocument(f"no text: field {field!r} is empty, and there is no title")


def _id(record: Mapping[str, Any], field: str) -> str:
    value = record.get(field)
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is None or value == "":
        known = ", ".join(sorted(record)[:12]) or "none"
        raise BadDocument(f"no id: field {field!r} is missing or empty (fields: {known}); name another with --id-field")
    raise BadDocument(f"id {value!r} is neither a string nor an integer")


def _string(value: object, field: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise BadDocument(f"field {field!r} is {type(value).__name__}, not text")


def metadata_from(fields: Mapping[str, Any]) -> dict[str, MetadataValue]:
    """Metadata of a record's remaining fields; what stands under `metadata` wins over a field of the same name."""
    found: dict[str, MetadataValue] = {}
    nested = fields.get("metadata")
    for key, value in fields.items():
        if key != "metadata" or not isinstance(value, Mapping):
            _put(found, key, value, depth=1)
    if isinstance(nested, Mapping):
        for key, value in nested.items():
            _put(found, str(key), value, depth=1)
    return found


def _put(found: dict[str, MetadataValue], key: str, value: Any, depth: int) -> None:
    """Store `value` under `key`; objects are taken apart."""
    if value is None or isinstance(value, bytes) or not key:
        return  # bytes are an image or a hash, nothing to filter by
    if isinstance(value, Mapping):
        if depth == DEEPEST:
            raise BadDocument(f"metadata {key!r} is nested more than {DEEPEST} levels deep")
        for inner, each in value.items():
            _put(found, f"{key}.{inner}", each, depth + 1)
        return
    found[key] = _value(key, value)


def _value(key: str, value: Any) -> MetadataValue:
    if isinstance(value, str | bool):
        return value
    if isinstance(value, int | float):
        return _number(key, value)
    if isinstance(value, list | tuple):
        return tuple(each if isinstance(each, str) else _as_text(each) for each in value if each is not None)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return str(value)  # a Parquet decimal, UUID or interval


def _number(key: str, value: float) -> float:
    """The number as it stands: a whole one keeps its digits, since its field may turn out to hold text."""
    try:
        finite = math.isfinite(value)
    except OverflowError:
        raise BadDocument(f"metadata {key!r} is a number beyond the range of a double") from None
    if not finite:
        raise BadDocument(f"metadata {key!r} is {value}, not a finite number")
    return value


def _as_text(value: Any) -> str:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False, default=str)
