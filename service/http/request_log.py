"""The request layer: request ids, the log line and the metrics of each request.

Logs and labels contain neither query texts nor keys; `log.queries` adds query texts to the log.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.config.settings import LogSettings
from service.http.problems import INTERNAL, Problem, problem_of_status, render
from service.observability.logs import LOGGER

if TYPE_CHECKING:
    from service.observability.metrics import Metrics

LOGGED_CHARACTERS = 1_000  # of a path

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
}


@dataclass(slots=True)
class RequestOutcome:
    """The facts about a request after its answer."""

    method: str
    path: str
    route: str
    status: int
    milliseconds: float
    request_id: str
    caller: str
    query: str


class RequestLogMiddleware:
    """Gives each request an id; counts, times and logs it; answers failures."""

    def __init__(self, app: ASGIApp, *, settings: LogSettings, metrics: Metrics) -> None:
        self.app = app
        self._settings = settings
        self._metrics = metrics
        self._logger = logging.getLogger(LOGGER)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        method = scope["method"]
        if method == "HEAD":  # answered like GET; the server sends no body
            scope = {**scope, "method": "GET"}
        request_id = request_id_of(scope)
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        started = perf_counter()
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except asyncio.CancelledError:  # the server must end
            if not status:
                ending = problem_of_status(503, "the service is shutting down", {"Connection": "close"})
                await render(ending, scope)(scope, receive, sending)
        except Exception:
            self._logger.exception("request failed", extra={"fields": {"request_id": request_id}})
            if status:
                raise  # the answer has started; the server closes the connection
            failed = Problem(INTERNAL.status, INTERNAL.code, INTERNAL.detail)
            await render(failed, scope)(scope, receive, sending)
        finally:
            self._report(_outcome(scope, method, status, (perf_counter() - started) * 1000))

    def _report(self, outcome: RequestOutcome) -> None:
        self._metrics.request(outcome.route, outcome.method, outcome.status, outcome.milliseconds / 1000)
        slow = 0 < self._settings.slow_ms <= outcome.milliseconds
        if not (self._settings.requests or slow):
            return
        fields = {
            "method": outcome.method,
            "path": outcome.path[:LOGGED_CHARACTERS],
            "status": outcome.status,
            "ms": round(outcome.milliseconds, 1),
            "request_id": outcome.request_id,
        }
        if outcome.caller:
            fields["caller"] = outcome.caller
        if self._settings.queries and outcome.query:
            fields["query"] = outcome.query
        level = logging.WARNING if slow or outcome.status >= 500 else logging.INFO
        self._logger.log(level, "slow request" if slow else "request", extra={"fields": fields})


def request_id_of(scope: Scope) -> str:
    """Return the caller's id if it is a plain word, else a new id."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            given = value.decode("latin-1")
            if _REQUEST_ID.fullmatch(given):
                return str(given)
            break
    return new_request_id()


def new_request_id() -> str:
    """Return a new random id."""
    return secrets.token_hex(8)


def _outcome(scope: Scope, method: str, status: int, milliseconds: float) -> RequestOutcome:
    state = scope["state"]
    route = getattr(scope.get("route"), "path", "unmatched")
    caller = state.get("caller")
    return RequestOutcome(
        method=method,
        path=scope["path"],
        route=route,
        status=status or 499,  # nginx's status for a request whose client left
        milliseconds=milliseconds,
        request_id=state["request_id"],
        caller=caller.name if caller else "",
        query=state.get("query", ""),
    )
