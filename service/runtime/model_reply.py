"""Read the reply of a language model in bounds, while it is written.

The form is OpenAI's: server-sent events with parts of a message, or one JSON document with the whole message.  The
reply is bounded in bytes, in characters and in time.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar, cast

import httpx
import orjson

from retrieval.errors import ModelError, ModelTimeout
from service.config.answer_settings import AnswerSettings

T = TypeVar("T")

CHARACTERS_PER_TOKEN = 8  # of a text, at most: a model may ignore the limit of tokens
END = b"[DONE]"
THOUGHTS = re.compile(r"\s*<think>.*?</think>\s*", re.DOTALL)
PERHAPS_THOUGHTS = re.compile(r"\s*(?:<(?:t(?:h(?:i(?:n(?:k(?:>.*)?)?)?)?)?)?)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class MessagePart:
    """A part of a message; `finish` is the reason for its end, if it is the last part."""

    text: str
    finish: str


class ModelReply:
    """A text that a model writes.  For one reader."""

    def __init__(self, response: httpx.Response, settings: AnswerSettings, deadline: float) -> None:
        self.finish = ""  # known after the last piece: "stop", or "length" if a limit ended the text
        self._response = response
        self._settings = settings
        self._deadline = deadline

    async def pieces(self) -> AsyncGenerator[str]:
        """Yield the text, without thoughts at its start.  Raises ModelError."""
        remaining = self._settings.max_tokens * CHARACTERS_PER_TOKEN
        head = ""  # of a text that may begin with thoughts
        starts = True
        async with aclosing(self._parts()) as parts:
            async for part in parts:
                text = part.text[:remaining]
                remaining -= len(text)
                if starts:
                    head = THOUGHTS.sub("", head + text, count=1)
                    starts = PERHAPS_THOUGHTS.fullmatch(head) is not None
                    text = "" if starts else head
                if text:
                    yield text
                if not remaining:
                    self.finish = "length"
                    return

    async def _parts(self) -> AsyncGenerator[MessagePart]:
        """Yield the parts of the message until its end."""
        if self._response.headers.get("content-type", "").startswith("application/json"):
            body = b"".join([chunk async for chunk in self._chunks()])
            yield self._noted(read_part(body, "message"))
            return
        async for line in self._lines():
            if not line.startswith(b"data:"):
                continue
            data = line.removeprefix(b"data:").strip()
            if data == END:
                self.finish = self.finish or "stop"
                return
            yield self._noted(read_part(data, "delta"))
        if not self.finish:
            raise ModelError("the model ended its answer early; try again")

    def _noted(self, part: MessagePart) -> MessagePart:
        self.finish = part.finish or self.finish
        return part

    async def _lines(self) -> AsyncGenerator[bytes]:
        rest = b""
        async for chunk in self._chunks():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line
        yield rest

    async def _chunks(self) -> AsyncGenerator[bytes]:
        """Yield what the model sends.  Raises ModelError beyond a bound."""
        received = 0
        sent = cast("AsyncGenerator[bytes]", self._response.aiter_raw())
        async with aclosing(sent) as chunks:
            while chunk := await in_time(anext(chunks, b""), self._deadline):
                received += len(chunk)
                if received > self._settings.bytes:
                    raise ModelError(f"the model sent more than {self._settings.bytes:,} bytes (answer.bytes)")
                yield chunk


async def in_time(step: Awaitable[T], deadline: float) -> T:
    """Wait for a step of a connection.  Raises ModelError, or ModelTimeout."""
    try:
        async with asyncio.timeout_at(deadline):
            return await step
    except (TimeoutError, httpx.TimeoutException) as error:
        raise ModelTimeout("the model took longer than this service allows (answer.seconds); try again") from error
    except (httpx.TransportError, httpx.StreamError) as error:
        raise ModelError("the connection to the model failed; the operator finds the cause in the log") from error


def read_part(data: bytes, name: str) -> MessagePart:
    """Return a part of a message (`delta`), or all of it (`message`).

    Raises ModelError.
    """
    try:
        content = orjson.loads(data)
        if content.get("error"):
            raise ModelError("the model stopped with an error")
        [choice, *_] = content["choices"] or [{}]
        text = (choice.get(name) or {}).get("content") or ""
        finish = choice.get("finish_reason") or ""
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError("the model sent something else than OpenAI's protocol has") from error
    if not isinstance(text, str) or not isinstance(finish, str):
        raise ModelError("the model sent something else than OpenAI's protocol has")
    return MessagePart(text, finish)
