"""Compress answers with gzip or zstd, as the caller accepts it.

An answer is compressed if it is a text of one part and of more than a kilobyte. Streams of events pass as they are: a
compressor would hold events back. A large answer is compressed on a thread.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Mapping
from functools import lru_cache

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MIN_BYTES = 1_024  # a smaller answer fits in one packet anyway
THREAD_BYTES = 65_536  # it takes a millisecond or more to compress so much
GZIP_LEVEL, ZSTD_LEVEL = 5, 3
GZIP_BITS = 16 + zlib.MAX_WBITS
TEXTS = ("text/", "application/json", "application/problem+json")
EVENTS = "text/event-stream"
WITHOUT_BODY = frozenset({204, 304})


def gzipped(body: bytes) -> bytes:
    compressor = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, GZIP_BITS)
    return compressor.compress(body) + compressor.flush()


def zstandard(body: bytes) -> bytes:
    from pyarrow import Codec

    return bytes(Codec("zstd", ZSTD_LEVEL).compress(body, asbytes=True))


CODINGS: Mapping[str, Callable[[bytes], bytes]] = {"zstd": zstandard, "gzip": gzipped}  # the fastest first


class CompressionMiddleware:
    """Compresses the answers to callers that accept it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        coding = _coding(scope) if scope["type"] == "http" else ""
        if not coding:
            await self.app(scope, receive, send)
            return
        start: Message | None = None
        body: Message | None = None

        async def sending(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start" and _is_text(message):
                start = message  # the first part of the body decides about the headers
                return
            if (held := start) is not None:
                if not message.get("more_body", False) and len(message.get("body", b"")) > MIN_BYTES:
                    body = message  # compressed when the answer is made: the deadline of making it has no part in that
                    return
                start = None
                await send(held)
            await send(message)

        await self.app(scope, receive, sending)
        if start is not None and body is not None:
            body = await _compressed(start, body, coding)
            await send(start)
            await send(body)


async def _compressed(start: Message, message: Message, coding: str) -> Message:
    """Return the message with a compressed body; change the headers to fit."""
    body, compress = message["body"], CODINGS[coding]
    body = await asyncio.to_thread(compress, body) if len(body) > THREAD_BYTES else compress(body)
    headers = MutableHeaders(scope=start)
    headers["Content-Encoding"] = coding
    headers["Content-Length"] = str(len(body))
    headers.add_vary_header("Accept-Encoding")
    if (tag := headers.get("ETag", "")).startswith('"'):
        headers["ETag"] = f"W/{tag}"  # other bytes than those of the tag
    return {**message, "body": body}


def _is_text(start: Message) -> bool:
    headers = MutableHeaders(scope=start)
    kind = headers.get("Content-Type", "")
    is_whole = "Content-Range" not in headers and start["status"] not in WITHOUT_BODY
    is_plain = is_whole and "Content-Encoding" not in headers
    return is_plain and kind.startswith(TEXTS) and not kind.startswith(EVENTS)


def _coding(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"accept-encoding":
            return accepted_coding(value.decode("latin-1"))
    return ""


@lru_cache(64)
def accepted_coding(header: str) -> str:
    """Return the coding that the caller prefers, the fastest of equals; empty: none."""
    weights: dict[str, float] = {}
    for each in header.lower().split(","):
        name, _, parameter = each.partition(";")
        weights[name.strip()] = _weight(parameter)
    found = {coding: weights.get(coding, weights.get("*", 0.0)) for coding in CODINGS}
    best = max(found, key=lambda coding: found[coding])
    return best if found[best] > 0 and found[best] >= weights.get("identity", 0.0) else ""


def _weight(parameter: str) -> float:
    """Return the value of `q=…`; 1 without it, 0 for nonsense."""
    name, equals, text = parameter.partition("=")
    if not equals or name.strip() != "q":
        return 1.0
    try:
        return float(text)
    except ValueError:
        return 0.0
