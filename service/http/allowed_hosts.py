"""The hosts that requests may name, so that no web page uses a name of its own.

A page of a foreign site can let its own name point to this machine (DNS rebinding). The browser then takes the service
for a part of that site. It cannot do that with localhost or with an address.
"""

from __future__ import annotations

import re
from ipaddress import ip_address

from starlette.types import ASGIApp, Receive, Scope, Send

from service.config.settings import Settings
from service.http.addresses import is_loopback
from service.http.problems import problem_of_status, render

MISDIRECTED = 421
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d*)?", re.IGNORECASE)


class AllowedHosts:
    """Decides which Host headers are answered, by `host`, `hosts` and the keys."""

    def __init__(self, settings: Settings) -> None:
        self._local = is_loopback(settings.host)
        self._any = not settings.hosts and not self._local and settings.has_keys
        self._names = {name.lower() for name in (*settings.hosts, settings.host)}

    def __contains__(self, header: str) -> bool:
        found = _HOST.fullmatch(header)
        if found is None:
            return False
        name = (found[1] or found[2]).lower().removesuffix(".")
        return self._any or name in self._names or is_loopback(name) or (not self._local and _is_address(name))


class AllowedHostsMiddleware:
    """Refuses requests for other hosts with 421 (RFC 9110)."""

    def __init__(self, app: ASGIApp, *, hosts: AllowedHosts) -> None:
        self.app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            header = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")
            if header not in self._hosts:
                detail = f"this service does not answer to the host {header[:253]!r}; add it to the setting `hosts`"
                await render(problem_of_status(MISDIRECTED, detail), scope)(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
