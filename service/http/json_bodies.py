"""JSON bodies: bounded before they are parsed, large ones beside the event loop.

The parser holds the interpreter until a body is parsed. That takes time and memory by the number of values, hardly by
the length of texts, so values are counted before. The serializer holds the interpreter too, so a large answer is made
in parts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from itertools import islice
from typing import Any

import orjson
from starlette.exceptions import HTTPException

from retrieval.util.work_budget import checkpoint, spent_answer_bytes

LARGE_BODY_BYTES = 65_536  # smaller bodies are parsed at once: they hold too few values to delay other requests
LARGE_ANSWER_BYTES = 1_000_000  # smaller answers take less than five milliseconds
PART_ITEMS = 1_000  # of a list of small items
PART_LEVELS = 4  # of an answer whose lists are made item by item, such as the hits of the results of a batch
OPTIONS = orjson.OPT_SERIALIZE_NUMPY


async def parse_body(body: bytes, max_values: int, large_bodies: asyncio.Lock) -> Any:
    """Return the value of a body; large bodies are parsed one at a time, on a thread.

    Raises HTTPException (413) for a large body of more than `max_values` values, JSONDecodeError.
    """
    if len(body) <= LARGE_BODY_BYTES:
        return orjson.loads(body)
    async with large_bodies:
        return await asyncio.to_thread(_parse_large, body, max_values)


def _parse_large(body: bytes, max_values: int) -> Any:
    if has_more_values(body, max_values):
        raise HTTPException(413, f"the body has more than {max_values:,} values; send it in parts")
    return orjson.loads(body)


def has_more_values(body: bytes, maximum: int) -> bool:
    """Check whether a JSON text has more than `maximum` values, without parsing it.

    Commas and opening brackets outside strings are counted: each value has at least one, but for the outermost one. An
    object or a list that is not empty has one more.
    """
    if _separators(body) <= maximum:  # also those inside strings
        return False
    unescaped = body.replace(rb"\\", b"").replace(rb"\"", b"")
    if unescaped.count(b'"') > 4 * (maximum + 1):  # a value has at most two strings: its name and itself
        return True
    return _separators(b"".join(unescaped.split(b'"')[::2])) > maximum


def _separators(text: bytes) -> int:
    return sum(map(text.count, (b",", b"[", b"{")))


async def dump_answer(content: Any) -> bytes:
    """Return `content` (records, mappings, numpy arrays) as JSON.

    A large answer is made on a thread.
    """
    if spent_answer_bytes() <= LARGE_ANSWER_BYTES:
        return orjson.dumps(content, option=OPTIONS)
    return await asyncio.to_thread(lambda: orjson.dumps(_parts(content, PART_LEVELS), option=OPTIONS))


def json_list(items: Iterable[object]) -> orjson.Fragment:
    """Return many small items as a JSON list, made in parts as they come.

    The parts take less memory than the items do, and other threads run between two parts.
    """
    remaining, parts = iter(items), []
    while part := list(islice(remaining, PART_ITEMS)):
        checkpoint()
        parts.append(orjson.dumps(part, option=OPTIONS)[1:-1])
    return orjson.Fragment(b"[" + b",".join(parts) + b"]")


def _parts(content: Any, levels: int) -> Any:
    """Return the content with the items of its lists as JSON.

    Other threads run between two items.
    """
    if levels and isinstance(content, dict):
        return {name: _parts(value, levels - 1) for name, value in content.items()}
    if levels and is_dataclass(content):
        return {field.name: _parts(getattr(content, field.name), levels - 1) for field in fields(content)}
    if levels and isinstance(content, list | tuple):
        return [_part(item, levels - 1) for item in content]
    return content


def _part(item: Any, levels: int) -> orjson.Fragment:
    checkpoint()
    return orjson.Fragment(orjson.dumps(_parts(item, levels), option=OPTIONS))
