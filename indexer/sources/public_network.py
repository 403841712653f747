"""Connections to public addresses only, within one deadline for a whole fetch.

The address is checked when the connection is made: after the name is resolved, and again for every redirect. The
connection goes to the checked address, so that a name that resolves differently a moment later has no effect.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

import httpcore

from retrieval.errors import BadDocument

GLOBAL_UNICAST = IPv6Network("2000::/3")  # the only part of IPv6 from which IANA assigns public addresses
NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address behind the public prefix
# The special-purpose address registries of IANA (RFC 6890); in IPv6 those within the global unicast addresses.
SPECIAL_IPV4 = [
    IPv4Network(block)
    for block in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
]
SPECIAL_IPV6 = [IPv6Network(block) for block in ("2001::/23", "2001:db8::/32", "2620:4f:8000::/48", "3fff::/20")]


class FetchTimeout(BadDocument):
    """A fetch that passed its deadline."""


class PublicNetwork(httpcore.SyncBackend):
    """A network that connects only to public addresses, unless others are allowed."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._seconds = 0.0
        self._deadline = 0.0  # of time.monotonic()

    def start_deadline(self, seconds: float) -> None:
        """Give all connections together `seconds` from now on."""
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds

    def pause(self, seconds: float) -> None:
        """Sleep without using up the time of the deadline."""
        time.sleep(seconds)
        self._deadline += seconds

    def remaining(self) -> float:
        """Return the seconds until the deadline. Raises FetchTimeout if there are none."""
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise self.timeout()
        return remaining

    def timeout(self) -> FetchTimeout:
        return FetchTimeout(f"took longer than {self._seconds:g} s")

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Resolve the host, check its addresses, and connect to a checked address."""
        address = public_address(host, port, allow_private=self._allow_private)
        stream = super().connect_tcp(address, port, self.remaining(), local_address, socket_options)
        return _DeadlineStream(stream, self)


class _DeadlineStream(httpcore.NetworkStream):
    """A connection whose reads and writes end at the deadline of the network.

    A timeout of each read would let a server that sends one byte at a time hold the fetch.
    """

    def __init__(self, stream: httpcore.NetworkStream, network: PublicNetwork) -> None:
        self._stream = stream
        self._network = network

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        return self._stream.read(max_bytes, self._network.remaining())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._stream.write(buffer, self._network.remaining())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, self._network.remaining())
        return _DeadlineStream(stream, self._network)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def public_address(host: str, port: int, *, allow_private: bool = False) -> str:
    """Return an address of `host`; raise BadDocument for a forbidden private one."""
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except (OSError, ValueError) as error:  # ValueError: a name that DNS cannot hold
        raise BadDocument(f"the host {host!r} cannot be found: {error}") from error
    for name in found:
        address = ip_address(name.split("%")[0])
        if not allow_private and not is_public(address):
            raise BadDocument(f"refused: {host!r} is at {address}, which is not a public address")
    return min(found, key=lambda name: (":" in name, name))


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Check whether `address` is a global unicast address without a special purpose.

    An IPv6 address that holds an IPv4 address (mapped, 6to4, NAT64) is judged by that one; Teredo, local NAT64 and
    other translations are refused.
    """
    if isinstance(address, IPv4Address):
        return not any(address in network for network in SPECIAL_IPV4)
    embedded = address.ipv4_mapped or address.sixtofour
    if address in NAT64:
        embedded = IPv4Address(address.packed[12:])
    if embedded is not None:
        return is_public(embedded)
    return address in GLOBAL_UNICAST and not any(address in network for network in SPECIAL_IPV6)
