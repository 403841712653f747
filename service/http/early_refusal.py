"""Refuse searches early: answer 429 before routing while the search queue is full.

A refusal by the handler passes every layer, the router, the schema and the log. Under a flood, such refusals would
leave little CPU for the accepted searches. This outermost layer reads the parsed head and the body, and answers a
search that needs the encoder. Every other request goes on to the inner layers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from retrieval.errors import Overloaded
from service.http.authentication import Authenticator
from service.http.problems import PROBLEM_JSON, native_content, problem_of
from service.http.request_limits import Lifecycle, SearchGate
from service.http.request_log import SECURITY_HEADERS, request_id_of
from service.observability.metrics import Metrics

ROUTE = "/v1/collections/{name}/search"
PREFIX, SUFFIX = ROUTE.split("{name}")
MAX_BODY_BYTES = 99_999  # larger bodies go on: the inner layers have their own limit
BODY_SECONDS = 1.0  # slower bodies go on: the inner layers have a deadline
INNER_HEADERS = frozenset({b"origin", b"traceparent"})  # the inner layers add CORS headers and spans
LEXICAL = b"lexical"  # a body with this word may be a search without the encoder


class EarlyRefusalMiddleware:
    """Answers searches with 429 while the search queue is full; does not log them."""

    def __init__(self, app: ASGIApp, *, lifecycle: Lifecycle, authenticator: Authenticator, metrics: Metrics) -> None:
        self.app = app
        self._lifecycle = lifecycle
        self._authenticator = authenticator
        self._metrics = metrics
        self._problem = problem_of(Overloaded("the queue of search is full; try again in a second"))
        headers = {"content-type": PROBLEM_JSON, **SECURITY_HEADERS, **self._problem.headers}
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Return the inner layers' awaitable: a request that goes on costs no coroutine."""
        gate = self._lifecycle.search_gate
        if gate is None or not gate.full or self._lifecycle.closed or not self._is_refusable(scope):
            return self.app(scope, receive, send)
        return self._refuse(gate, scope, receive, send)

    def _is_refusable(self, scope: Scope) -> bool:
        """Check whether the head is that of a short search, by a caller that may search."""
        if scope["type"] != "http" or scope["method"] != "POST" or not _is_search(scope["path"]):
            return False
        length = 0
        for name, value in scope["headers"]:
            if name in INNER_HEADERS:
                return False
            if name == b"content-length":
                length = int(value)
        # requests without a key must not start load shedding
        return 0 < length <= MAX_BODY_BYTES and self._authenticator.may_search(scope)

    async def _refuse(self, gate: SearchGate, scope: Scope, receive: Receive, send: Send) -> None:
        messages = await _body_messages(receive)
        body = b"".join(message.get("body", b"") for message in messages)
        if not _is_complete(messages) or LEXICAL in body or not gate.full:
            await self.app(scope, _replay(messages, receive), send)
            return
        gate.record_refusal()
        self._metrics.request(ROUTE, "POST", self._problem.status, 0.0)
        request_id = request_id_of(scope)
        content = orjson.dumps(native_content(self._problem, scope["path"], request_id))
        own_headers = [(b"x-request-id", request_id.encode()), (b"content-length", b"%d" % len(content))]
        headers = [*self._headers, *own_headers]
        await send({"type": "http.response.start", "status": self._problem.status, "headers": headers})
        await send({"type": "http.response.body", "body": content})


def _is_search(path: str) -> bool:
    name = path[len(PREFIX) : -len(SUFFIX)]
    return path.startswith(PREFIX) and path.endswith(SUFFIX) and bool(name) and "/" not in name


async def _body_messages(receive: Receive) -> list[Message]:
    """Return the messages of the body, or those that came within BODY_SECONDS."""
    messages: list[Message] = []
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while not messages or messages[-1].get("more_body", False):
                messages.append(await receive())
    except TimeoutError:
        pass
    return messages


def _is_complete(messages: list[Message]) -> bool:
    return bool(messages) and messages[-1]["type"] == "http.request" and not messages[-1].get("more_body", False)


def _replay(messages: Iterable[Message], receive: Receive) -> Receive:
    """Return a `receive` that gives the messages again, then the further ones."""
    replayed = iter(messages)

    async def receiving() -> Message:
        message = next(replayed, None)
        return await receive() if message is None else message

    return receiving
