"""Addresses of callers, and the networks that limits count."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network


def plain_address(address: str) -> str:
    """Return the IPv4 address in ::ffff:a.b.c.d, and any other text unchanged."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return address if mapped is None else str(mapped)


def network_of(address: str) -> str:
    """Return the network that limits count as one caller: IPv4 address or IPv6 /64.

    A network operator gives each subscriber a /64 or more. All texts that are not an address are one caller.
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    return str(ip_network((parsed, 64), strict=False)) if parsed.version == 6 else str(parsed)


def is_loopback(host: str) -> bool:
    """Check whether a host is localhost, or an address that only this machine reaches."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
