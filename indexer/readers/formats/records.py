"""Turn a record (a JSON object or a row of a table) into a document.

Id, title and text are fields of the record. The object under `metadata` and all other fields become metadata. Fields
of nested objects get dotted names; those of objects in a list become lists. Values keep their type: string, number,
boolean, list of these. Dates stay ISO 8601 strings, which the collection's schema recognises. A null value is a
missing value. Where that loses something, the document also has its metadata as they were given, in JSON.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

from indexer.readers.base.options import ReadOptions
from indexer.readers.formats.given_passages import PASSAGES, given_passages
from retrieval.errors import BadDocument
from retrieval.index.metadata.given import to_json
from retrieval.index.metadata.schema import MAX_FIELDS, MAX_NAME_CHARACTERS
from retrieval.types import Document, MetadataValue

MAX_DEPTH = 16  # levels of nested metadata
MAX_SHOWN_FIELDS = 12  # in an error message
MAX_SHOWN_CHARACTERS = 80
TEXT_GAP = "\n\n"  # between the texts of several fields
ID_HINT = "name another with --id-field, or as id_field of a source"
TEXT_HINT = "name another with --text-field, or as text_fields of a source"
UNENCODABLE = "holds half of a surrogate pair, which is not Unicode text"


def id_field_of(names: Sequence[str] | Mapping[str, Any], options: ReadOptions) -> str:
    """Return the name of the id field of records with these fields."""
    return options.id_field or ("_id" if "_id" in names else "id")


def fields_problem(names: Sequence[str], options: ReadOptions) -> str:
    """Return why rows with these fields are not records; "" if they are."""
    id_fields = (options.id_field,) if options.id_field else ("_id", "id")
    for wanted, hint in ((id_fields, ID_HINT), (options.text_fields, TEXT_HINT)):
        if not set(wanted) & set(names):
            shown = " or ".join(map(repr, wanted))
            return f"the header has no column {shown} (columns: {_listed(names)}); {hint}"
    return ""


def document_from(record: Mapping[str, Any], options: ReadOptions, *, allow_empty: bool = False) -> Document:
    """Return the document that `record` describes.

    `allow_empty` accepts a document without a single character; test collections and their exports hold such documents.
    Raises BadDocument without path and line if the id or the text is missing or has a wrong type.
    """
    id_field = id_field_of(record, options)
    title = _string(record.get(options.title_field), options.title_field)
    text = _text(record, options.text_fields)
    allow_empty = allow_empty or PASSAGES in record
    if not text and not (allow_empty and any(field in record for field in options.text_fields)):
        _require_text(record, options.text_fields, title)
    used = (id_field, options.title_field, *options.text_fields)
    rest = {key: value for key, value in record.items() if key not in used} if len(record) > 2 else {}
    if not rest:
        return Document(_id(record, id_field), text, title)
    passages = given_passages(rest, len(text))
    return Document(_id(record, id_field), text, title, metadata_from(rest), passages, _given(rest), bool(passages))


def check_encodable(document: Document) -> None:
    """Raise BadDocument for text that UTF-8 cannot hold, since encoding would fail."""
    try:
        for text in _strings(document):
            text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise BadDocument(UNENCODABLE) from error


def _strings(document: Document) -> Iterator[str]:
    yield from (document.id, document.title, document.text, document.given)
    for key, value in document.metadata.items():
        yield key
        if isinstance(value, str):
            yield value
        elif isinstance(value, tuple):
            yield from (item for item in value if isinstance(item, str))


def _text(record: Mapping[str, Any], fields: Sequence[str]) -> str:
    """Return the text of a record: those of its fields, with blank lines between."""
    texts = [_string(record.get(field), field) for field in fields]
    return texts[0] if len(texts) == 1 else TEXT_GAP.join(filter(None, texts))


def _require_text(record: Mapping[str, Any], fields: Sequence[str], title: str) -> None:
    """Refuse a record without a text field, or with neither title nor text."""
    shown = " or ".join(map(repr, fields))
    if all(record.get(field) is None for field in fields):
        known = _known_fields(record)
        raise BadDocument(f"no text: field {shown} is missing (fields: {known}); {TEXT_HINT}")
    if not title:
        raise BadDocument(f"no text: field {shown} is empty, and there is no title")


def _id(record: Mapping[str, Any], field: str) -> str:
    value = record.get(field)
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is None or value == "":
        known = _known_fields(record)
        raise BadDocument(f"no id: field {field!r} is missing or empty (fields: {known}); {ID_HINT}")
    raise BadDocument(f"id {repr(value)[:MAX_SHOWN_CHARACTERS]} is neither a string nor an integer")


def _known_fields(record: Mapping[str, Any]) -> str:
    return _listed(sorted(record))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(name[:MAX_SHOWN_CHARACTERS] for name in names[:MAX_SHOWN_FIELDS]) or "none"


def _string(value: object, field: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise BadDocument(f"field {field!r} is {type(value).__name__}, not text")


def metadata_from(fields: Mapping[str, Any]) -> dict[str, MetadataValue]:
    """Return a record's other fields as metadata; those under `metadata` win.

    Raises BadDocument for metadata with too many, too deep or too long names.
    """
    found: dict[str, MetadataValue] = {}
    _put_all(found, _merged(fields), "", depth=1)
    return found


def _merged(fields: Mapping[str, Any]) -> Mapping[Any, Any]:
    nested = _parsed(fields.get("metadata"))
    if not isinstance(nested, Mapping):
        return fields
    return {**{key: value for key, value in fields.items() if key != "metadata"}, **nested}


def _parsed(metadata: object) -> object:
    """Return the object in a text of JSON, as an export to Parquet has it."""
    if isinstance(metadata, str) and metadata.startswith("{"):
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(metadata)
    return metadata


def _given(fields: Mapping[str, Any]) -> str:
    """Return the metadata in JSON if `metadata_from` loses a part, otherwise ""."""
    merged = _merged(fields)
    if "" not in merged and all(map(_is_kept, merged.values())):
        return ""
    try:
        return to_json(merged)
    except RecursionError as error:
        raise BadDocument("a list in the metadata is nested too deeply; flatten it") from error


def _is_kept(value: object) -> bool:
    """Check whether a value is the same in flat metadata."""
    if isinstance(value, list | tuple):
        return all(isinstance(item, str | int | float) for item in value)
    return value is not None and not isinstance(value, Mapping)


def _put_all(found: dict[str, MetadataValue], fields: Mapping[Any, Any], prefix: str, depth: int) -> None:
    """Store the fields; give those of an inner object bounded, dotted names."""
    if depth > MAX_DEPTH:
        raise BadDocument(f"metadata {_shown(prefix)} is nested more than {MAX_DEPTH} levels deep; flatten it")
    for key, value in fields.items():
        name = str(key)
        if value is None or isinstance(value, bytes) or not prefix + name[:1]:
            continue  # bytes are an image or a hash, which no filter uses
        if len(prefix) + len(name) > MAX_NAME_CHARACTERS:
            raise BadDocument(
                f"the metadata name {_shown(prefix + name[:MAX_SHOWN_CHARACTERS])} has {len(prefix) + len(name):,} "
                f"characters; {MAX_NAME_CHARACTERS:,} is the limit; shorten it"
            )
        if isinstance(value, Mapping):
            _put_all(found, value, f"{prefix}{name}.", depth + 1)
        elif isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
            _put_items(found, value, prefix + name, depth + 1)
        else:
            found[prefix + name] = _value(prefix + name, value)
        if len(found) > MAX_FIELDS:
            raise BadDocument(f"more than {MAX_FIELDS:,} metadata fields; leave some out")


def _put_items(found: dict[str, MetadataValue], items: Sequence[Any], name: str, depth: int) -> None:
    """Store fields of objects in a list as lists; other items keep the list's name."""
    lists: dict[str, list[Any]] = {}
    others = [item for item in items if not isinstance(item, Mapping)]
    for item in items:
        if isinstance(item, Mapping):
            fields: dict[str, MetadataValue] = {}
            _put_all(fields, item, f"{name}.", depth)
            for key, value in fields.items():
                lists.setdefault(key, []).extend(value if isinstance(value, tuple) else [value])
            if len(lists) > MAX_FIELDS:
                raise BadDocument(f"more than {MAX_FIELDS:,} metadata fields; leave some out")
    if any(item is not None for item in others):
        found[name] = _value(name, others)
    found.update((key, tuple(values)) for key, values in lists.items())


def _shown(text: str) -> str:
    """Return a text of the record for an error message."""
    return repr(text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[:MAX_SHOWN_CHARACTERS]}…")


def _value(key: str, value: Any) -> MetadataValue:
    if isinstance(value, str | bool):
        return value
    if isinstance(value, int | float):
        return _number(key, value)
    if isinstance(value, list | tuple):
        return tuple(_item(item) for item in value if item is not None)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return str(value)  # a Parquet decimal, UUID or interval


def _item(value: Any) -> str | float:
    """Return an item of a list; text, unless it is a finite number or a boolean."""
    if isinstance(value, str | bool) or (isinstance(value, int | float) and abs(value) <= sys.float_info.max):
        return value
    return _as_text(value)


def _number(key: str, value: float) -> float:
    """Check that the number is finite; keep the digits of a whole number."""
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
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except RecursionError as error:
        raise BadDocument("a list in the metadata is nested too deeply; flatten it") from error
