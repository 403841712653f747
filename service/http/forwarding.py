"""Forward changes to the process that writes, and answer forwarded ones.

The process that takes a request from the network checks its limits, its key and its host, and logs it. A request that
may change something then goes on over a local socket, with the caller in a header, to the one process that has the
writer's role. Its answer comes back the same way. While that role changes hands, requests wait in the socket.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import httpcore
import orjson
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from retrieval.util.work_budget import WorkBudget
from service.config.api_keys import Caller, Role
from service.config.settings import RequestLimits
from service.http.problems import INTERNAL, Problem, problem_of_status, render
from service.http.request_limits import Lifecycle
from service.observability.logs import LOGGER
from service.processes.peers import WRITER_SOCKET
from service.processes.publications import Publications
from service.processes.writer_role import WriterRole

FORWARDED = b"attendex-forwarded"  # the header with the caller; of the local socket only
OF_THE_CONNECTION = frozenset({b"connection", b"keep-alive", b"upgrade", b"te", b"trailer", b"expect", FORWARDED})
READING = frozenset({"GET", "HEAD", "OPTIONS"})


class RouteKinds:
    """Tells the requests that the writer must answer from those that only read.

    A request reads if its method is GET, or if its route is in `reading`. The writer alone knows the answers of the
    routes in `writing`, whatever their method. So a request of a new kind goes to the writer.
    """

    def __init__(self, reading: Iterable[Any], writing: Iterable[Any]) -> None:
        self._reading = [route.path_regex for route in reading if "POST" in route.methods]
        self._writing = [route.path_regex for route in writing if "GET" in route.methods]

    def may_change(self, scope: Scope) -> bool:
        """Check whether the writer must answer the request."""
        method, path = scope["method"], scope["path"]
        if method in READING:
            return any(pattern.match(path) for pattern in self._writing)
        return method != "POST" or not any(pattern.match(path) for pattern in self._reading)


class Forwarder:
    """Sends requests that may change something to the writer; answers the others here."""

    def __init__(self, app: ASGIApp, *, kinds: RouteKinds, lifecycle: Lifecycle) -> None:
        folder = lifecycle.peers.folder
        assert folder is not None, "a single process answers everything itself"
        self.app = app
        self._kinds = kinds
        self._role = lifecycle.role
        self._socket = str(folder / WRITER_SOCKET)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif not self._kinds.may_change(scope):
            publications: Publications = scope["state"]["services"].collections.publications
            if publications.is_behind:
                await asyncio.to_thread(publications.catch_up)
            await self.app(scope, receive, send)
        elif self._role.is_held:
            with self._role.changing(scope["method"] not in READING):
                await self.app(scope, receive, send)
        else:
            await self._forward(scope, receive, send)

    async def _forward(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False
        try:
            async with (
                httpcore.AsyncConnectionPool(uds=self._socket, max_keepalive_connections=0) as pool,
                pool.stream(scope["method"], _url(scope), headers=_headers(scope), content=_body(receive)) as answer,
            ):
                headers = [each for each in answer.headers if each[0].lower() not in OF_THE_CONNECTION]
                await send({"type": "http.response.start", "status": answer.status, "headers": headers})
                started = True
                if any(name.lower() == b"content-length" for name, _ in headers):
                    await send({"type": "http.response.body", "body": await answer.aread()})
                    return
                async for part in answer.aiter_stream():  # as a stream of events
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
        except HTTPException as error:  # the body is larger than the limit
            await render(problem_of_status(error.status_code, error.detail, error.headers), scope)(scope, receive, send)
        except ClientDisconnect:
            pass
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            fields = {"request_id": scope["state"]["request_id"], "error": f"{type(error).__name__}: {error}"}
            logging.getLogger(LOGGER).error("the writer ended before it answered", extra={"fields": fields})
            if started:
                raise
            detail = "the process that changes collections ended before it answered; look whether the change was made"
            await render(problem_of_status(503, detail, {"Retry-After": "1"}), scope)(scope, receive, send)


def _url(scope: Scope) -> httpcore.URL:
    query = scope["query_string"]
    target = scope["raw_path"].partition(b"?")[0] + (b"?" + query if query else b"")
    return httpcore.URL(scheme="http", host="localhost", port=None, target=target)


def _headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Return the headers of the request, with its caller and its id."""
    state = scope["state"]
    caller: Caller | None = state.get("caller")
    now = asyncio.get_running_loop().time()
    forwarded = {
        "caller": None if caller is None else asdict(caller),
        "request_id": state["request_id"],
        "client": scope.get("client"),
        "remaining_s": state.get("deadline", now) - now,
    }
    passed = [each for each in scope["headers"] if each[0] not in OF_THE_CONNECTION]
    return [*passed, (FORWARDED, orjson.dumps(forwarded))]


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        if part := message.get("body", b""):
            yield part


class ForwardedRequests:
    """Answers the requests that other processes forward."""

    def __init__(self, handlers: ASGIApp, *, app: Any, limits: RequestLimits, role: WriterRole) -> None:
        self._handlers = handlers
        self._app = app
        self._limits = limits
        self._role = role

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope["headers"])[FORWARDED]
        forwarded = orjson.loads(given)
        headers = [each for each in scope["headers"] if each[0] != FORWARDED]
        now = asyncio.get_running_loop().time()
        state = {
            **scope["state"],
            "request_id": forwarded["request_id"],
            "deadline": now + forwarded["remaining_s"],
        }
        if (caller := forwarded["caller"]) is not None:
            state["caller"] = Caller(caller["name"], Role(caller["role"]), tuple(caller["collections"]))
        client = forwarded["client"] and tuple(forwarded["client"])
        scope = {**scope, "app": self._app, "headers": headers, "client": client, "state": state}
        budget = WorkBudget(self._limits.answer_bytes, self._limits.filter_values)
        with self._role.changing(scope["method"] not in READING), budget.applied():
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._handlers(scope, receive, send)
        except Exception:
            fields = {"request_id": scope["state"]["request_id"]}
            logging.getLogger(LOGGER).exception("request failed", extra={"fields": fields})
            with suppress(RuntimeError):  # the answer has started
                await render(Problem(INTERNAL.status, INTERNAL.code, INTERNAL.detail), scope)(scope, receive, send)
