"""Limits of requests, before routing: number, body size, time, address."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import unquote_to_bytes

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from retrieval.errors import DeadlineExceeded, Overloaded
from retrieval.util.work_budget import WorkBudget
from service.config.settings import RequestLimits
from service.config.upload_settings import UploadSettings
from service.http.problems import Problem, problem_of, problem_of_status, render
from service.observability.metrics import Metrics
from service.processes.peers import Peers
from service.processes.shared_numbers import Column, SharedCount
from service.processes.writer_role import WriterRole

ON_DISCONNECT = "on_disconnect"  # in the state of a scope: what the server calls when the client disconnects
FILE_BYTES_PER_S = 50_000  # an upload or a download may take so much longer than other requests
_UPLOAD = re.compile(r"/v1/collections/[^/]+/files")
_DOWNLOAD = re.compile(r"/v1/collections/[^/]+/documents/.+/original")
PROBES = frozenset({"/livez", "/readyz", "/healthz", "/health", "/metrics"})  # no limit applies to them


class SearchGate(Protocol):
    """The part of the search queue that the early refusal needs."""

    @property
    def full(self) -> bool:
        """Whether the queue refuses a search that needs the encoder."""

    def record_refusal(self) -> None:
        """Count a search that was refused because the queue is full."""


@dataclass(slots=True)
class Lifecycle:
    """The state of the process between start and end.  Belongs to one event loop."""

    peers: Peers = field(default_factory=Peers.alone)
    requests: SharedCount = field(init=False)  # in progress, without the probes
    role: WriterRole = field(init=False)
    retiring: bool = False  # another worker has the place of this one
    draining: bool = False  # a signal came: the service is not ready, and still answers
    closed: bool = False  # new requests are refused
    ends_at: float | None = None  # end of the grace period by the monotonic clock; set by a signal
    search_gate: SearchGate | None = None  # while the application runs
    refused: Callable[[str], None] = lambda _reason: None  # counts the refusals of the server

    def __post_init__(self) -> None:
        self.requests = self.peers.count(Column.REQUESTS)
        self.role = WriterRole(self.peers.folder)

    @property
    def in_progress(self) -> int:
        """The requests that this process is answering, without the probes."""
        return self.requests.own

    @property
    def is_busy(self) -> bool:
        """Whether this process answers a request, also one that another has forwarded."""
        return self.requests.own > 0 or self.role.changes > 0

    def remaining_s(self, grace_s: float) -> float:
        """Return the remaining seconds of the grace period; all of it before a signal."""
        return grace_s if self.ends_at is None else max(0.0, self.ends_at - time.monotonic())


class LimitsMiddleware:
    """Limits the requests in progress, the size of their bodies and their time."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        limits: RequestLimits,
        uploads: UploadSettings,
        metrics: Metrics,
        lifecycle: Lifecycle,
    ) -> None:
        self.app = app
        self._limits = limits
        self._uploads = uploads
        self._metrics = metrics
        self._lifecycle = lifecycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self.app(scope, receive, send)
            return
        self._lifecycle.requests.add(1)
        try:
            problem = self._problem(scope)
            if problem is not None:
                await render(problem, scope)(scope, receive, send)
                return
            await self._answer_in_time(scope, receive, send)
        finally:
            self._lifecycle.requests.add(-1)

    def _problem(self, scope: Scope) -> Problem | None:
        """Return the reason to refuse the request; None to answer it."""
        if self._lifecycle.closed:
            headers = {"Retry-After": "1", "Connection": "close"}
            return problem_of_status(503, "the service is shutting down", headers)
        if self._lifecycle.requests.total() > self._limits.requests:
            self._metrics.refused("requests")
            return problem_of(Overloaded(f"{self._limits.requests} requests are in progress; try again in a second"))
        if not _is_utf8(scope):
            return problem_of_status(400, "the address is not UTF-8; percent-encode the bytes of its text in UTF-8")
        maximum = self._max_body(scope)
        if declared_bytes(scope) > maximum:
            self._metrics.refused("body")
            return problem_of_status(413, _too_large(maximum), {"Connection": "close"})
        return None

    def _max_body(self, scope: Scope) -> int:
        return self._uploads.bytes if is_upload(scope) else self._limits.body_bytes

    async def _answer_in_time(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        deadline = asyncio.timeout(self._limits.seconds)
        ends_at = scope["state"]["deadline"] = asyncio.get_running_loop().time() + self._limits.seconds
        is_long = is_download(scope)

        async def sending(message: Message) -> None:
            nonlocal started, ends_at
            started = True
            await send(message)
            if is_long:
                ends_at += len(message.get("body", b"")) / FILE_BYTES_PER_S
                deadline.reschedule(ends_at)

        bounded = self._bounded(receive, self._max_body(scope))
        if is_upload(scope):
            bounded = _prolonged(bounded, deadline, scope["state"])
        try:
            async with deadline:
                with self._budget().applied(), cancelled_on_disconnect(scope):
                    await self.app(scope, bounded, sending)
        except TimeoutError:
            if started or not deadline.expired():
                raise
            self._metrics.refused("deadline")
            late = DeadlineExceeded(f"the request took longer than {self._limits.seconds:g} s; ask for less at once")
            await render(problem_of(late), scope)(scope, receive, send)

    def _budget(self) -> WorkBudget:
        return WorkBudget(self._limits.answer_bytes, self._limits.filter_values)

    def _bounded(self, receive: Receive, maximum: int) -> Receive:
        """Return a `receive` that raises 413 if the body becomes larger than the limit."""
        remaining = maximum

        async def receiving() -> Message:
            nonlocal remaining
            message = await receive()
            remaining -= len(message.get("body", b""))
            if remaining < 0:
                self._metrics.refused("body")
                raise HTTPException(413, _too_large(maximum), {"Connection": "close"})
            return message

        return receiving


def _prolonged(receive: Receive, deadline: asyncio.Timeout, state: dict[str, float]) -> Receive:
    """Return a `receive` that moves the deadline as the bytes of a long body arrive.

    A body slower than FILE_BYTES_PER_S still ends at the deadline.
    """
    start = state["deadline"]

    async def receiving() -> Message:
        nonlocal start
        message = await receive()
        start += len(message.get("body", b"")) / FILE_BYTES_PER_S
        state["deadline"] = start
        deadline.reschedule(start)
        return message

    return receiving


@contextmanager
def cancelled_on_disconnect(scope: Scope) -> Iterator[None]:
    """Leave the block as soon as the client disconnects.

    The server calls ON_DISCONNECT of the scope's state.
    """
    task = asyncio.current_task()
    assert task is not None, "a request is answered by a task"
    is_gone = False

    def leave() -> None:
        nonlocal is_gone
        is_gone = True
        task.cancel()

    scope["state"][ON_DISCONNECT] = leave
    try:
        yield
    except asyncio.CancelledError:
        if not is_gone:
            raise
        task.uncancel()
    finally:
        del scope["state"][ON_DISCONNECT]


def is_upload(scope: Scope) -> bool:
    """Check whether a request uploads files, which has bounds of its own."""
    return scope["method"] == "POST" and _UPLOAD.fullmatch(scope["path"]) is not None


def is_download(scope: Scope) -> bool:
    """Check whether a request gets an original, which may be large."""
    return scope["method"] == "GET" and _DOWNLOAD.fullmatch(scope["path"]) is not None


def declared_bytes(scope: Scope) -> int:
    """Return the announced size of the body; 0 if it is not announced."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0


def _is_utf8(scope: Scope) -> bool:
    """Check that the decoded path and query are UTF-8.

    The framework would read other bytes as replacement characters.
    """
    target = scope["raw_path"] + b"?" + scope["query_string"]
    if b"%" not in target:
        return True
    try:
        unquote_to_bytes(target).decode()
    except UnicodeDecodeError:
        return False
    return True


def _too_large(body_bytes: int) -> str:
    return f"the body is larger than {body_bytes:,} bytes; send it in parts"
