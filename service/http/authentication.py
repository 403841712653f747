"""Authentication: the API key of each caller, and the rate of its requests."""

from __future__ import annotations

import math
import time

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.types import ASGIApp, Receive, Scope, Send

from retrieval.errors import RateLimited, SettingsError, Unauthenticated
from service.config.api_keys import ANONYMOUS, Caller, KeyRing
from service.config.settings import RateSettings
from service.http.problems import problem_of, render
from service.http.request_limits import PROBES
from service.observability.metrics import Metrics


class RateLimiter:
    """Counts the requests of each key, and the wrong keys of each address."""

    def __init__(self, settings: RateSettings) -> None:
        self._per_key = _parsed("rate.per_key", settings.per_key)
        self._failures = _parsed("rate.failures", settings.failures)
        self._windows = SlidingWindowCounterRateLimiter(MemoryStorage())

    def count(self, caller: str) -> None:
        """Count a request.  Raises RateLimited."""
        self._count(self._per_key, "calls", caller)

    def count_failure(self, address: str) -> None:
        """Count a wrong key.  Raises RateLimited."""
        self._count(self._failures, "failures", address)

    def _count(self, item: RateLimitItem | None, kind: str, caller: str) -> None:
        if item is None or self._windows.hit(item, kind, caller):
            return
        seconds = max(1, math.ceil(self._windows.get_window_stats(item, kind, caller).reset_time - time.time()))
        raise RateLimited(f"more requests than {item}; try again in {seconds} s", retry_after_s=seconds)


class AuthenticationMiddleware:
    """Finds the caller of each request.  `open_paths` need no key."""

    def __init__(
        self, app: ASGIApp, *, keys: KeyRing, rates: RateLimiter, metrics: Metrics, open_paths: frozenset[str]
    ) -> None:
        self.app = app
        self._keys = keys
        self._rates = rates
        self._metrics = metrics
        self._open_paths = open_paths | PROBES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_open(scope):
            try:
                scope["state"]["caller"] = self._authenticate(scope)
            except (Unauthenticated, RateLimited) as error:
                self._metrics.refused("rate" if isinstance(error, RateLimited) else "key")
                await render(problem_of(error), scope)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _is_open(self, scope: Scope) -> bool:
        return scope["path"] in self._open_paths and scope["method"] in ("GET", "HEAD")

    def _authenticate(self, scope: Scope) -> Caller:
        address = scope["client"][0] if scope.get("client") else ""
        if self._keys.open:
            self._rates.count(address)
            return ANONYMOUS
        caller = self._keys.caller(presented_key(scope))
        if caller is None:
            self._rates.count_failure(address)
            raise Unauthenticated("this service needs an API key: send `Authorization: Bearer KEY` or `X-API-Key: KEY`")
        self._rates.count(caller.name)
        return caller


def presented_key(scope: Scope) -> str:
    """Return the key of a request; empty if it has none."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            kind, _, key = value.decode("latin-1").partition(" ")
            if kind.lower() == "bearer":  # other credentials may be for a proxy
                return str(key.strip())
        elif name == b"x-api-key":
            return str(value.decode("latin-1").strip())
    return ""


def _parsed(name: str, text: str) -> RateLimitItem | None:
    if not text:
        return None
    try:
        return parse(text)
    except ValueError as error:
        raise SettingsError(f"{name}: {text!r} is not a rate such as '100/second' or '5000/minute'") from error
