"""Request ids, and the log line and the metrics of each request.

Logs and labels contain neither query texts nor keys; `log.queries` adds query texts to the log.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from time import perf_counter

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.config.log_settings import LogSettings
from service.http.problems import INTERNAL, Problem, problem_of_status, render
from service.observability.logs import LOGGER
from service.observability.metrics import Metrics, route_label

LOGGED_CHARACTERS = 1_000  # of a path
CLIENT_LEFT = 499  # nginx's status for a request whose client left
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
}


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
        scope.setdefault("state", {})["request_id"] = request_id
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
            self._report(scope, method, status or CLIENT_LEFT, perf_counter() - started)

    def _report(self, scope: Scope, method: str, status: int, seconds: float) -> None:
        self._metrics.request(route_label(scope), method, status, seconds)
        slow = 0 < self._settings.slow_ms <= seconds * 1000
        if not (self._settings.requests or slow):
            return
        state = scope["state"]
        fields = {
            "method": method,
            "path": scope["path"][:LOGGED_CHARACTERS],
            "status": status,
            "ms": round(seconds * 1000, 1),
            "request_id": state["request_id"],
        }
        if scope.get("client"):
            fields["address"] = scope["client"][0][:LOGGED_CHARACTERS]
        if (caller := state.get("caller")) and caller.name:
            fields["caller"] = caller.name
        if self._settings.queries and (query := state.get("query")):
            fields["query"] = query
        level = logging.WARNING if slow or status >= 500 else logging.INFO
        self._logger.log(level, "slow request" if slow else "request", extra={"fields": fields})


def request_id_of(scope: Scope) -> str:
    """Return the caller's id if it is a plain word, else a new id."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            given = value.decode("latin-1")
            if _REQUEST_ID.fullmatch(given):
                return str(given)
            break
    return secrets.token_hex(8)
