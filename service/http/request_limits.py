"""What a request must pass before any work is done for it: room, size, and time.

Refusals here cost microseconds: no routing, no parsing, no reading of the body.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from retrieval.errors import DeadlineExceeded, Overloaded
from service.config.settings import RequestLimits
from service.http.problems import Problem, problem_of, problem_of_status, render
from service.observability.metrics import Metrics

if TYPE_CHECKING:
    from service.http.early_refusal import Door


@dataclass(slots=True)
class Lifecycle:
    """Changed by the server, the guard and the application, read by the probes; lives on one event loop."""

    draining: bool = False  # a signal came: not ready any more, still answering
    closed: bool = False  # what comes now is refused
    in_progress: int = 0  # requests being answered, probes aside
    ends_at: float | None = None  # by the monotonic clock, once a signal came: when the grace period is over
    door: Door | None = None  # while there is an application behind it
    refused: Callable[[str], None] = lambda _reason: None  # told of what is refused before that

    def left_s(self, grace_s: float) -> float:
        """What is left of the grace period; all of it where no signal came."""
        return grace_s if self.ends_at is None else max(0.0, self.ends_at - time.monotonic())


PROBES = frozenset({"/livez", "/readyz", "/healthz", "/health", "/metrics"})  # answered even when there is no room


class LimitsMiddleware:
    """Bounds how many requests are in progress, how large their bodies are and how long they take."""

    def __init__(self, app: ASGIApp, *, limits: RequestLimits, metrics: Metrics, lifecycle: Lifecycle) -> None:
        self.app = app
        self._limits = limits
        self._metrics = metrics
        self._lifecycle = lifecycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self.app(scope, receive, send)
            return
        if self._lifecycle.closed:
            problem = problem_of_status(
                503, "the service is shutting down", {"Retry-After": "1", "Connection": "close"}
            )
            await self._send(problem, scope, receive, send)
            return
        if self._lifecycle.in_progress >= self._limits.requests:
            self._metrics.refused("requests")
            full = Overloaded(f"{self._limits.requests} requests are in progress already; try again in a second")
            await self._send(problem_of(full), scope, receive, send)
            return
        if _declared_bytes(scope) > self._limits.body_bytes:
            self._metrics.refused("body")
            problem = problem_of_status(413, _too_large(self._limits.body_bytes), {"Connection": "close"})
            await self._send(problem, scope, receive, send)
            return
        self._lifecycle.in_progress += 1
        self._metrics.in_progress(1)
        try:
            await self._in_time(scope, self._bounded(receive), send)
        finally:
            self._lifecycle.in_progress -= 1
            self._metrics.in_progress(-1)

    async def _in_time(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        deadline = asyncio.timeout(self._limits.seconds)
        try:
            async with deadline:
                await self.app(scope, receive, sending)
        except TimeoutError:
            if begun or not deadline.expired():
                raise
            self._metrics.refused("deadline")
            late = DeadlineExceeded(f"the request took longer than {self._limits.seconds:g} s; ask for less at once")
            await self._send(problem_of(late), scope, receive, send)

    def _bounded(self, receive: Receive) -> Receive:
        """The body's chunks, for as long as they stay within the limit."""
        left = self._limits.body_bytes

        async def receiving() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                self._metrics.refused("body")
                raise HTTPException(413, _too_large(self._limits.body_bytes), {"Connection": "close"})
            return message

        return receiving

    async def _send(self, problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
        await render(problem, scope)(scope, receive, send)


def _declared_bytes(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0


def _too_large(body_bytes: int) -> str:
    return f"the body is larger than {body_bytes:,} bytes; send it in parts"
