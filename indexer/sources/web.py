"""Fetch pages and sitemaps over HTTP from public addresses, within limits.

Whatever a server sends, a page that cannot be fetched fails alone and has its reason.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httpcore
import httpx

from indexer.readers.base.options import ReadLimits, WebOptions
from indexer.readers.formats.compressed import DAMAGE, expanded, read_whole
from indexer.sources.public_network import PublicNetwork
from indexer.sources.robots import RobotsRules, parse_robots
from indexer.sources.sitemap import MAX_LOCATION_CHARACTERS
from retrieval.errors import BadDocument

USER_AGENT = "attendex"
ETAG, MODIFIED = "etag ", "modified "  # kinds of versions of a page
MAX_VERSION_CHARACTERS = 200
MAX_REDIRECTS = 5
MAX_ROBOTS_BYTES = 512 << 10
MAX_CONNECTIONS = 4
MAX_DELAY_SECONDS = 10.0
MAX_SHOWN_CHARACTERS = 300  # of an address in a message
REDIRECT_STATUSES = (301, 302, 303, 307, 308)
DEFAULT_PORTS = {"http": 80, "https": 443}
HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+", re.IGNORECASE)  # a name in ASCII, or an IPv6 address


@dataclass(frozen=True, slots=True)
class WebResponse:
    """The response to one request; names of headers are in lower case."""

    url: str
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def version(self) -> str:
        """The ETag, or the time of the last change; "" without both."""
        for name, kind in (("etag", ETAG), ("last-modified", MODIFIED)):
            value = self.headers.get(name, "")
            if value and len(value) <= MAX_VERSION_CHARACTERS and value.isascii() and value.isprintable():
                return kind + value
        return ""


class WebSession:
    """A session that fetches pages of the allowed hosts. Use it as a context manager."""

    def __init__(self, options: WebOptions, start: str) -> None:
        self._options = options
        self._start = start
        self._hosts = {host.lower() for host in options.hosts}
        self._network = PublicNetwork(allow_private=options.allow_private)
        self._pool = httpcore.ConnectionPool(network_backend=self._network, max_connections=MAX_CONNECTIONS)
        self._robots: dict[str, RobotsRules | str] = {}  # rules of a host, or the reason why there are none
        self._last_request = 0.0

    def __enter__(self) -> WebSession:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.close()

    def fetch(self, url: str, known: str = "") -> WebResponse:
        """Return the page at `url`, after redirects.

        Its status is 200, or 304 if it still has the `known` version.  Raises BadDocument.
        """
        self._network.start_deadline(self._options.page_seconds)
        response = self._follow(parse_url(url), self._options.page_bytes, self._permit, conditions(known))
        if response.status != 200 and not (known and response.status == 304):
            raise BadDocument(f"the server answered {response.status}")
        return response

    def _follow(
        self,
        url: httpx.URL,
        max_bytes: int,
        permit: Callable[[httpx.URL], None],
        headers: Mapping[bytes | str, bytes | str] | None = None,
    ) -> WebResponse:
        """Send a request, and one for each redirect; `permit` raises BadDocument."""
        for _ in range(MAX_REDIRECTS + 1):
            permit(url)
            response = self._get(url, max_bytes, headers or {})
            if response.status not in REDIRECT_STATUSES:
                return response
            url = parse_url(response.headers.get("location", ""), url)
        raise BadDocument(f"redirects more than {MAX_REDIRECTS} times")

    def _permit(self, url: httpx.URL) -> None:
        """Check the host and robots.txt, and wait as long as the host asks."""
        self._permit_host(url)
        delay = self._options.delay_seconds
        if self._options.robots:
            rules = self._rules(url)
            if not rules.allows(url.raw_path.decode()):
                raise BadDocument("refused by the host's robots.txt")
            delay = rules.delay_seconds or delay
        self._network.pause(max(0.0, self._last_request + min(delay, MAX_DELAY_SECONDS) - time.monotonic()))
        self._last_request = time.monotonic()

    def _permit_host(self, url: httpx.URL) -> None:
        """Allow the hosts of the options, and the source's own at its port, 80 and 443."""
        host = _host(url)
        start = parse_url(self._start)
        ports = (_port(start), *DEFAULT_PORTS.values())
        if host in self._hosts or (host == _host(start) and _port(url) in ports):
            return
        place = f"port {_port(url)} of {host!r}" if host == _host(start) else f"the host {host!r}"
        raise BadDocument(f"refused: {place} is not allowed; add it with --web-host")

    def _rules(self, url: httpx.URL) -> RobotsRules:
        """Return the rules of the host.

        If its robots.txt cannot be fetched, no page of the host is read.
        """
        root = parse_url("/robots.txt", url)
        if str(root) not in self._robots:
            try:
                self._robots[str(root)] = _robots_rules(self._follow(root, MAX_ROBOTS_BYTES, self._permit_host))
            except BadDocument as error:
                reason = f"refused, because the host's robots.txt cannot be read: {error}"
                self._robots[str(root)] = reason
                raise type(error)(reason) from error
        rules = self._robots[str(root)]
        if isinstance(rules, str):
            raise BadDocument(rules)
        return rules

    def _get(self, url: httpx.URL, max_bytes: int, more: Mapping[bytes | str, bytes | str]) -> WebResponse:
        """Send one request without redirects, within the limits of size and time."""
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        headers: dict[bytes | str, bytes | str] = {
            "Host": url.netloc,
            "User-Agent": USER_AGENT,
            "Accept-Encoding": "identity",
            **more,
        }
        try:
            with self._pool.stream("GET", target, headers=headers) as response:
                body = bytearray()
                for part in response.iter_stream():
                    body += part
                    if len(body) > max_bytes:
                        raise BadDocument(f"is larger than {max_bytes:,} bytes")
                named = {key.decode("latin-1").lower(): _header(value) for key, value in response.headers}
        except httpcore.TimeoutException as error:
            raise self._network.timeout() from error
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError, ValueError) as error:
            raise BadDocument(f"cannot be fetched: {type(error).__name__} {error}".rstrip()) from error
        decoded = _decoded(bytes(body), named, max_bytes) if response.status == 200 else b""
        return WebResponse(str(url), response.status, named, decoded)


def conditions(known: str) -> dict[bytes | str, bytes | str]:
    """Return the headers that ask for a page only if it has another version."""
    if known.startswith(ETAG):
        return {"If-None-Match": known.removeprefix(ETAG)}
    return {"If-Modified-Since": known.removeprefix(MODIFIED)} if known.startswith(MODIFIED) else {}


def parse_url(text: str, base: httpx.URL | None = None) -> httpx.URL:
    """Return `text`, relative to `base`, as an ASCII URL without a fragment.

    Raises BadDocument.
    """
    shown = repr(text[:MAX_SHOWN_CHARACTERS])
    if len(text) > MAX_LOCATION_CHARACTERS:
        raise BadDocument(f"is not a usable URL: {shown} is longer than {MAX_LOCATION_CHARACTERS:,} characters")
    if not text:
        raise BadDocument("is not a usable URL: it is empty")
    try:
        url = base.join(text) if base is not None else httpx.URL(text)
        host = url.raw_host.decode("ascii")
    except (httpx.InvalidURL, ValueError) as error:
        raise BadDocument(f"is not a usable URL: {shown}: {error}") from error
    if url.scheme not in DEFAULT_PORTS:
        raise BadDocument(f"refused: {shown} is not http or https")
    if not HOST.fullmatch(host) or not 0 < _port(url) < 1 << 16:
        raise BadDocument(f"is not a usable URL: {shown} has no valid host and port")
    if url.userinfo:
        raise BadDocument("refused: the URL has a user name, which no request sends; remove it")
    return url.copy_with(fragment=None)


def _host(url: httpx.URL) -> str:
    return url.raw_host.decode("ascii").lower()


def _port(url: httpx.URL) -> int:
    return url.port if url.port is not None else DEFAULT_PORTS[url.scheme]


def _header(value: bytes) -> str:
    """Decode a header as browsers do: UTF-8, else Latin-1."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _robots_rules(response: WebResponse) -> RobotsRules:
    if response.status in (401, 403) or response.status >= 500:
        raise BadDocument(f"answered {response.status}")
    return parse_robots(response.body.decode("utf-8-sig", "replace") if response.status == 200 else "", USER_AGENT)


def _decoded(body: bytes, headers: dict[str, str], max_bytes: int) -> bytes:
    """Return `body` without its content coding.  Raises BadDocument."""
    coding = headers.get("content-encoding", "").strip().lower()
    if coding in ("", "identity"):
        return body
    if coding not in ("gzip", "x-gzip"):
        raise BadDocument(f"has the content coding {coding[:MAX_SHOWN_CHARACTERS]!r}, which was not asked for")
    return unpacked(body, max_bytes)


def unpacked(body: bytes, max_bytes: int) -> bytes:
    """Return `body` decompressed, or as it is.  Raises BadDocument."""
    limits = ReadLimits(file_bytes=max_bytes)
    try:
        return read_whole(expanded(io.BytesIO(body), limits), limits)
    except DAMAGE as error:
        raise BadDocument(f"damaged compressed data: {error}") from error
