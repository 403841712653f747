"""Requests through trusted proxies: the address of the caller, the path prefix.

A proxy appends the address of its client to X-Forwarded-For. The caller is the last address there that is not itself a
trusted proxy. Any client can send these headers, so those of other peers are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from retrieval.errors import SettingsError

_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+){1,20}")


class TrustedProxies:
    """Takes caller, scheme and path prefix from the headers X-Forwarded-…."""

    def __init__(self, app: ASGIApp, proxies: Sequence[str]) -> None:
        for each in proxies:
            try:
                ip_network(each)
            except ValueError as error:
                raise SettingsError(f"trusted_proxies: {each!r} is not an address or a network ({error})") from error
        self._forwarded: Any = ProxyHeadersMiddleware(app, trusted_hosts=list(proxies))  # type: ignore[arg-type]

    def __contains__(self, address: object) -> bool:
        return address in self._forwarded.trusted_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/openapi.json" and scope["client"][0] in self:
            # only the description of the interface names the path: the proxy removes it from requests
            for name, value in scope["headers"]:
                prefix = value.decode("latin-1").rstrip("/")
                if name == b"x-forwarded-prefix" and _PREFIX.fullmatch(prefix):
                    scope["root_path"] = prefix
        await self._forwarded(scope, receive, send)
