"""JSON bodies: a bound of their values, and parsing beside the event loop.

The parser holds the interpreter until a body is parsed. That takes time and memory by the number of values, hardly by
the length of texts, so values are counted before.
"""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from starlette.exceptions import HTTPException

LARGE_BODY_BYTES = 65_536  # smaller bodies are parsed at once: they hold too few values to delay other requests


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
