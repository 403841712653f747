"""Server-sent events (the HTML standard, section 9.2)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.http.json_bodies import OPTIONS

EVENT_STREAM = "text/event-stream"


def described_events(*names: str) -> dict[str, Any]:
    """Return the schema of each event of a stream, for the OpenAPI document."""
    properties = {
        "event": {"type": "string", "enum": list(names)},
        "data": {"type": "string", "contentMediaType": "application/json"},
        "id": {"type": "string"},
        "retry": {"type": "integer"},
    }
    return {EVENT_STREAM: {"schema": {"type": "object", "properties": properties, "required": ["event", "data"]}}}


def event(name: str, content: object, event_id: str = "") -> bytes:
    """Return one event with JSON as its data, and an id if there is one."""
    start = f"id: {event_id}\n" if event_id else ""
    return f"{start}event: {name}\ndata: ".encode() + orjson.dumps(content, option=OPTIONS) + b"\n\n"


class EventStream(Response):
    """Sends events as they come; closes their source when the client leaves."""

    media_type = EVENT_STREAM

    def __init__(self, events: AsyncGenerator[bytes]) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})  # proxies pass each event on at once
        del self.headers["content-length"]
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        async with aclosing(self._events) as events:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async for sent in events:
                await send({"type": "http.response.body", "body": sent, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
