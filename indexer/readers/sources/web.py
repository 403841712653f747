"""Pages and sitemaps over http(s), where the caller allows it: public addresses alone, robots respected, all bounded.

The address is checked where the connection is made, after the name is resolved and for every redirect, and the
connection goes to the very address that was checked: a name that resolves differently a moment later gains nothing.
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
from indexer.readers.formats.zip_package import local, parse_xml
from indexer.readers.sources.folders import FoundFile
from indexer.readers.sources.paths import is_url
from retrieval.errors import BadDocument

AGENT = "attendex"
REDIRECTS = 5
ROBOTS_BYTES = 512 << 10
LONGEST_DELAY_SECONDS = 10.0
SITEMAP_ROOTS = ("urlset", "sitemapindex")
NAT64_BEGINS = IPv6Address("64:ff9b::").packed[:12]
MOVED = (301, 302, 303, 307, 308)


class PublicNetwork(httpcore.SyncBackend):
    """Connects to public addresses only, unless private ones are allowed."""

    def __init__(self, *, private: bool) -> None:
        self._private = private

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Resolve, check, and connect to what was checked."""
        address = public_address(host, port, private=self._private)
        return super().connect_tcp(address, port, timeout, local_address, socket_options)


def public_address(host: str, port: int, *, private: bool = False) -> str:
    """An address of `host`; raises BadDocument when any of its addresses is not public, unless that is allowed."""
    try:
        found = {str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError as error:
        raise BadDocument(f"the host {host!r} cannot be found: {error}") from error
    for each in found:
        address = ip_address(each.split("%")[0])
        reached = _reached(address)
        if not private and (not reached.is_global or reached.is_multicast or address.is_multicast):
            raise BadDocument(f"refused: {host!r} is at {address}, which is not a public address")
    return min(found, key=lambda each: (":" in each, each))


def _reached(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address to which an IPv6 address leads: mapped, compatible (RFC 4291), 6to4 or NAT64 (RFC 6052)."""
    if isinstance(address, IPv4Address):
        return address
    if address.packed[:12] in (bytes(12), NAT64_BEGINS):
        return IPv4Address(address.packed[12:])
    return address.ipv4_mapped or address.sixtofour or address


@dataclass(frozen=True, slots=True)
class FetchedPage:
    """What a URL gave, after redirects."""

    url: str
    body: bytes
    content_type: str
    modified: float | None


class WebSession:
    """Fetches pages of the allowed hosts.  Use as a context."""

    def __init__(self, options: WebOptions, start: str) -> None:
        self._options = options
        self._hosts = {_host(start), *(host.lower() for host in options.hosts)}
        self._pool = httpcore.ConnectionPool(
            network_backend=PublicNetwork(private=options.allow_private), max_connections=4
        )
        self._robots: dict[str, urllib.robotparser.RobotFileParser] = {}
        self._last = 0.0

    def __enter__(self) -> WebSession:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.close()

    def pages(self, start: str, folder: Path) -> Iterator[FoundFile]:
        """`start`, or every page of the sitemap that it is, saved below `folder`; what fails says why."""
        waiting = deque([start])
        seen = {start}
        for count in range(self._options.max_pages):
            if not waiting:
                return
            url = waiting.popleft()
            try:
                fetched = self.fetch(url)
                if locations := _sitemap(fetched):
                    fresh = dict.fromkeys(each for each in locations if each not in seen)
                    waiting.extend(fresh)
                    seen.update(fresh)
                else:
                    yield _saved(fetched, folder / str(count))
            except BadDocument as error:
                yield _unfetched(url, str(error))
        if waiting:
            yield _unfetched(
                start, f"leads to more than {self._options.max_pages:,} pages and sitemaps; index its parts"
            )

    def fetch(self, url: str) -> FetchedPage:
        """The page at `url`; raises BadDocument that names what refuses it."""
        for _ in range(REDIRECTS + 1):
            self._check(url)
            self._wait(url)
            answer = self._get(url, self._options.page_bytes)
            if answer.status not in MOVED:
                if answer.status != 200:
                    raise BadDocument(f"the server answered {answer.status}")
                return FetchedPage(url, answer.body, answer.headers.get("content-type", ""), _modified(answer))
            url = urllib.parse.urljoin(url, answer.headers.get("location", ""))
        raise BadDocument(f"redirects more than {REDIRECTS} times")

    def _check(self, url: str) -> None:
        """Scheme, host and robots, for the first URL and for every redirect."""
        if not is_url(url):
            raise BadDocument(f"refused: {url!r} is not http or https")
        if _host(url) not in self._hosts:
            raise BadDocument(f"refused: the host {_host(url)!r} is not allowed; add it with --web-host")
        if self._options.robots and not self._rules(url).can_fetch(AGENT, url):
            raise BadDocument("refused by the host's robots.txt")

    def _rules(self, url: str) -> urllib.robotparser.RobotFileParser:
        root = urllib.parse.urljoin(url, "/")
        if root not in self._robots:
            rules = urllib.robotparser.RobotFileParser()
            answer = self._get(root + "robots.txt", ROBOTS_BYTES)
            if answer.status == 200:
                rules.parse(answer.body.decode("utf-8", "replace").splitlines())
            elif answer.status in (401, 403) or answer.status >= 500:
                rules.disallow_all = True  # type: ignore[attr-defined]  # undocumented in the stubs only
            else:
                rules.parse([])
            self._robots[root] = rules
        return self._robots[root]

    def _wait(self, url: str) -> None:
        """Keep the pace that robots.txt asks for, else our own."""
        asked = self._rules(url).crawl_delay(AGENT) if self._options.robots else None
        delay = min(float(asked or self._options.delay_seconds), LONGEST_DELAY_SECONDS)
        time.sleep(max(0.0, self._last + delay - time.monotonic()))
        self._last = time.monotonic()

    def _get(self, url: str, most_bytes: int) -> WebResponse:
        """One request without redirects, within the limits of size and time."""
        until = time.monotonic() + self._options.page_seconds
        limits = dict.fromkeys(("connect", "read", "write", "pool"), self._options.page_seconds)
        headers: dict[bytes | str, bytes | str] = {"User-Agent": AGENT, "Accept-Encoding": "identity"}
        try:
            with self._pool.stream("GET", url, headers=headers, extensions={"timeout": limits}) as response:
                body = bytearray()
                for part in response.iter_stream():
                    body += part
                    if len(body) > most_bytes:
                        raise BadDocument(f"the page is larger than {most_bytes:,} bytes")
                    if time.monotonic() > until:
                        raise BadDocument(f"the page took longer than {self._options.page_seconds:g} s")
                named = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in response.headers}
                return WebResponse(response.status, named, bytes(body))
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
            raise BadDocument(f"cannot be fetched: {type(error).__name__} {error}".rstrip()) from error
        except (httpcore.UnsupportedProtocol, ValueError, UnicodeError) as error:
            raise BadDocument(f"is not a usable URL: {error}") from error


@dataclass(frozen=True, slots=True)
class WebResponse:
    """One response."""

    status: int
    headers: dict[str, str]
    body: bytes


def _host(url: str) -> str:
    try:
        return (urllib.parse.urlsplit(url).hostname or "").lower()
    except ValueError as error:
        raise BadDocument(f"{url!r} is not a URL: {error}") from error


def _modified(answer: WebResponse) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(answer.headers["last-modified"]).timestamp()
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def _sitemap(fetched: FetchedPage) -> list[str]:
    """Locations in a sitemap or an index of them; empty for anything else."""
    if not any(root.encode() in fetched.body[:2048] for root in SITEMAP_ROOTS):
        return []
    try:
        root = parse_xml(fetched.body)
    except BadDocument:
        return []
    if local(root) not in SITEMAP_ROOTS:
        return []
    return [each.text.strip() for each in root.iter() if local(each) == "loc" and each.text]


def _unfetched(url: str, why: str) -> FoundFile:
    return FoundFile(Path(), DocumentOrigin(url, url), failed=why)


def _saved(fetched: FetchedPage, path: Path) -> FoundFile:
    path.write_bytes(fetched.body)
    if fetched.modified is not None:
        os.utime(path, (fetched.modified, fetched.modified))
    url = urllib.parse.urldefrag(fetched.url).url
    kind = fetched.content_type.split(";")[0].strip().lower()
    known = {"text/html": "html", "application/xhtml+xml": "html", "text/markdown": "markdown", "text/plain": "text"}
    return FoundFile(path, DocumentOrigin(url, url), format=known.get(kind, ""))
