"""Authentication: the API key of each caller, and the rate of its requests."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from retrieval.errors import RateLimited, Unauthenticated
from service.config.api_keys import ANONYMOUS, Caller, KeyRing
from service.config.settings import RateSettings
from service.http.addresses import network_of
from service.http.problems import problem_of, render
from service.http.rate_limits import Rate
from service.http.request_limits import PROBES
from service.observability.metrics import Metrics
from service.processes.peers import Peers


class Authenticator:
    """Finds the caller of a request, at the rates of the settings."""

    def __init__(self, keys: KeyRing, rates: RateSettings, peers: Peers) -> None:
        self._keys = keys
        requests, failures = peers.times("requests"), peers.times("failures")
        self._requests = Rate("rate.per_key", rates.per_key, times=requests)  # without keys, of each network
        self._failures = Rate("rate.failures", rates.failures, "wrong keys from this address", failures)

    def caller(self, scope: Scope) -> Caller:
        """Return the caller and count its request.  Raises Unauthenticated, RateLimited."""
        network = _network(scope)
        caller = ANONYMOUS if self._keys.open else self._caller_by_key(scope, network)
        self._requests.take(caller.name or network)
        return caller

    def may_search(self, scope: Scope) -> bool:
        """Check the key, without counting the request."""
        if self._keys.open:
            return True
        return not self._failures.wait_s(_network(scope)) and self._keys.caller(presented_key(scope)) is not None

    def _caller_by_key(self, scope: Scope, network: str) -> Caller:
        """Return the caller.

        After too many wrong keys the right one is refused too, so that a guess learns nothing.
        """
        if key := presented_key(scope):
            self._failures.check(network)
            if caller := self._keys.caller(key):
                return caller
            self._failures.count(network)
        raise Unauthenticated("this service needs an API key: send `Authorization: Bearer KEY` or `X-API-Key: KEY`")


class AuthenticationMiddleware:
    """Finds the caller of each request.  `open_paths` need no key."""

    def __init__(
        self, app: ASGIApp, *, authenticator: Authenticator, metrics: Metrics, open_paths: frozenset[str]
    ) -> None:
        self.app = app
        self._authenticator = authenticator
        self._metrics = metrics
        self._open_paths = open_paths | PROBES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_open(scope):
            try:
                scope["state"]["caller"] = self._authenticator.caller(scope)
            except (Unauthenticated, RateLimited) as error:
                self._metrics.refused("rate" if isinstance(error, RateLimited) else "key")
                await render(problem_of(error), scope)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _is_open(self, scope: Scope) -> bool:
        return scope["path"] in self._open_paths and scope["method"] in ("GET", "HEAD")


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


def _network(scope: Scope) -> str:
    return network_of(scope["client"][0] if scope.get("client") else "")
