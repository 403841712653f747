"""Fetch pages and sitemaps over HTTP from public addresses, within limits.

The address is checked when the connection is made: after the name is resolved, and again for every redirect. The
connection goes to the checked address, so that a name that resolves differently a moment later has no effect.
"""

from __future__ import annotations

import email.utils
import os
import socket
import time
import urllib.parse
import urllib.robotparser
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

import httpcore

from indexer.readers.base.options import WebOptions
from indexer.readers.base.outcomes import DocumentOrigin
from indexer.readers.formats.format_table import format_for_media_type
from indexer.readers.formats.zip_package import local, parse_xml
from indexer.readers.sources.folders import FoundFile
from indexer.readers.sources.paths import is_url
from retrieval.errors import BadDocument

USER_AGENT = "attendex"
MAX_REDIRECTS = 5
MAX_ROBOTS_BYTES = 512 << 10
SITEMAP_BYTES = 2048  # the root of a sitemap is in its first bytes
MAX_CONNECTIONS = 4
MAX_DELAY_SECONDS = 10.0
SITEMAP_ROOTS = ("urlset", "sitemapindex")
NAT64_PREFIX = IPv6Address("64:ff9b::").packed[:12]  # RFC 6052
REDIRECT_STATUSES = (301, 302, 303, 307, 308)


class PublicNetwork(httpcore.SyncBackend):
    """A network that connects only to public addresses, unless others are allowed."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Resolve the host, check its addresses, and connect to a checked address."""
        address = public_address(host, port, allow_private=self._allow_private)
        return super().connect_tcp(address, port, timeout, local_address, socket_options)


def public_address(host: str, port: int, *, allow_private: bool = False) -> str:
    """Return an address of `host`; raise BadDocument for a forbidden private one."""
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError as error:
        raise BadDocument(f"the host {host!r} cannot be found: {error}") from error
    for name in found:
        address = ip_address(name.split("%")[0])
        target = _target_address(address)
        if not allow_private and (not target.is_global or target.is_multicast or address.is_multicast):
            raise BadDocument(f"refused: {host!r} is at {address}, which is not a public address")
    return min(found, key=lambda name: (":" in name, name))


def _target_address(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the mapped, compatible, 6to4 or NAT64 IPv4 address of an IPv6 one."""
    if isinstance(address, IPv4Address):
        return address
    if address.packed[:12] in (bytes(12), NAT64_PREFIX):  # zeros: an IPv4-compatible address (RFC 4291)
        return IPv4Address(address.packed[12:])
    return address.ipv4_mapped or address.sixtofour or address


@dataclass(frozen=True, slots=True)
class WebResponse:
    """The response to one request; names of headers are in lower case."""

    url: str
    status: int
    headers: dict[str, str]
    body: bytes


class WebSession:
    """A session that fetches pages of the allowed hosts. Use it as a context manager."""

    def __init__(self, options: WebOptions, start: str) -> None:
        self._options = options
        self._hosts = {_host(start), *(host.lower() for host in options.hosts)}
        self._pool = httpcore.ConnectionPool(
            network_backend=PublicNetwork(allow_private=options.allow_private), max_connections=MAX_CONNECTIONS
        )
        self._robots: dict[str, urllib.robotparser.RobotFileParser] = {}
        self._last_request = 0.0

    def __enter__(self) -> WebSession:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.close()

    def pages(self, start: str, folder: Path) -> Iterator[FoundFile]:
        """Save the page `start`, or the pages of a sitemap; a failed page has its reason."""
        pending = deque([start])
        seen = {start}
        for count in range(self._options.max_pages):
            if not pending:
                return
            url = pending.popleft()
            try:
                page = self.fetch(url)
                if locations := _sitemap(page):
                    new = dict.fromkeys(location for location in locations if location not in seen)
                    pending.extend(new)
                    seen.update(new)
                else:
                    yield _save_page(page, folder / str(count))
            except BadDocument as error:
                yield _failed_page(url, str(error))
        if pending:
            yield _failed_page(start, f"has more than {self._options.max_pages:,} pages and sitemaps; index its parts")

    def fetch(self, url: str) -> WebResponse:
        """Return the page at `url`, after redirects. Raises BadDocument."""
        for _ in range(MAX_REDIRECTS + 1):
            self._check(url)
            self._wait(url)
            response = self._get(url, self._options.page_bytes)
            if response.status not in REDIRECT_STATUSES:
                if response.status != 200:
                    raise BadDocument(f"the server answered {response.status}")
                return response
            url = urllib.parse.urljoin(url, response.headers.get("location", ""))
        raise BadDocument(f"redirects more than {MAX_REDIRECTS} times")

    def _check(self, url: str) -> None:
        """Raise BadDocument if the scheme, the host or robots.txt forbids `url`."""
        if not is_url(url):
            raise BadDocument(f"refused: {url!r} is not http or https")
        if _host(url) not in self._hosts:
            raise BadDocument(f"refused: the host {_host(url)!r} is not allowed; add it with --web-host")
        if self._options.robots and not self._rules(url).can_fetch(USER_AGENT, url):
            raise BadDocument("refused by the host's robots.txt")

    def _rules(self, url: str) -> urllib.robotparser.RobotFileParser:
        root = urllib.parse.urljoin(url, "/")
        if root not in self._robots:
            rules = urllib.robotparser.RobotFileParser()
            response = self._get(root + "robots.txt", MAX_ROBOTS_BYTES)
            if response.status == 200:
                rules.parse(response.body.decode("utf-8", "replace").splitlines())
            elif response.status in (401, 403) or response.status >= 500:
                rules.disallow_all = True  # type: ignore[attr-defined]  # undocumented in the stubs only
            else:
                rules.parse([])
            self._robots[root] = rules
        return self._robots[root]

    def _wait(self, url: str) -> None:
        """Wait for the delay of robots.txt, else for the delay of the options."""
        robots_delay = self._rules(url).crawl_delay(USER_AGENT) if self._options.robots else None
        delay = min(float(robots_delay or self._options.delay_seconds), MAX_DELAY_SECONDS)
        time.sleep(max(0.0, self._last_request + delay - time.monotonic()))
        self._last_request = time.monotonic()

    def _get(self, url: str, max_bytes: int) -> WebResponse:
        """Send one request without redirects, within the limits of size and time."""
        deadline = time.monotonic() + self._options.page_seconds
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), self._options.page_seconds)
        headers: dict[bytes | str, bytes | str] = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        try:
            with self._pool.stream("GET", url, headers=headers, extensions={"timeout": timeouts}) as response:
                body = bytearray()
                for part in response.iter_stream():
                    body += part
                    if len(body) > max_bytes:
                        raise BadDocument(f"the page is larger than {max_bytes:,} bytes")
                    if time.monotonic() > deadline:
                        raise BadDocument(f"the page took longer than {self._options.page_seconds:g} s")
                named = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in response.headers}
                return WebResponse(url, response.status, named, bytes(body))
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
            raise BadDocument(f"cannot be fetched: {type(error).__name__} {error}".rstrip()) from error
        except (httpcore.UnsupportedProtocol, ValueError, UnicodeError) as error:
            raise BadDocument(f"is not a usable URL: {error}") from error


def _host(url: str) -> str:
    try:
        return (urllib.parse.urlsplit(url).hostname or "").lower()
    except ValueError as error:
        raise BadDocument(f"{url!r} is not a URL: {error}") from error


def _modified(response: WebResponse) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(response.headers["last-modified"]).timestamp()
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def _sitemap(page: WebResponse) -> list[str]:
    """Return the locations of a sitemap or sitemap index, none for other pages."""
    if not any(root.encode() in page.body[:SITEMAP_BYTES] for root in SITEMAP_ROOTS):
        return []
    try:
        root = parse_xml(page.body)
    except BadDocument:
        return []
    if local(root) not in SITEMAP_ROOTS:
        return []
    return [element.text.strip() for element in root.iter() if local(element) == "loc" and element.text]


def _failed_page(url: str, reason: str) -> FoundFile:
    return FoundFile(Path(), DocumentOrigin(url, url), failed=reason)


def _save_page(page: WebResponse, path: Path) -> FoundFile:
    path.write_bytes(page.body)
    if (modified := _modified(page)) is not None:
        os.utime(path, (modified, modified))
    url = urllib.parse.urldefrag(page.url).url
    named = format_for_media_type(page.headers.get("content-type", "").split(";")[0].strip().lower())
    return FoundFile(path, DocumentOrigin(url, url), format=named.name if named is not None else "")
