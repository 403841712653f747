"""Addresses that may be fetched from, and the connection to the address that was checked."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis.strategies import ip_addresses

from indexer.sources.public_network import PublicNetwork, is_public, public_address
from retrieval.errors import BadDocument


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "10.0.0.1",
        "169.254.169.254",
        "::1",
        "::ffff:127.0.0.1",
        "0.0.0.0",
        "100.64.0.1",
        "224.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::169.254.169.254",
        "::127.0.0.1",
        "2002:7f00:1::",
    ],
)
def test_addresses_that_are_not_public(host: str) -> None:
    with pytest.raises(BadDocument, match="not a public address"):
        public_address(host, 80)


def test_a_public_address_passes() -> None:
    for address in ("93.184.216.34", "64:ff9b::5db8:d822", "2606:4700::6810:84e5"):
        assert public_address(address, 80) == address


@pytest.mark.parametrize(
    "host",
    [
        *("fec0::1", "64:ff9b:1::7f00:1", "64:ff9b:1::1", "::ffff:0:127.0.0.1", "::ffff:0:93.184.216.34", "5f00::1"),
        *("2001::1", "2001:0:5db8:d822::", "2001:20::1", "2001:db8::1", "3fff::1", "100::1", "fd00::1", "fe80::1%lo"),
        *("192.0.0.8", "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.175.48.1", "198.18.0.1", "203.0.113.1"),
        *(
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "ff02::1",
            "2620:4f:8000::1",
        ),
        *("2002:a9fe:a9fe::1", "::ffff:169.254.169.254", "4000::1", "::93.184.216.34"),
    ],
)
def test_addresses_of_special_purpose(host: str) -> None:
    with pytest.raises(BadDocument, match="not a public address"):
        public_address(host, 80)


@given(ip_addresses())
def test_only_addresses_that_the_standard_library_calls_global_are_public(
    address: IPv4Address | IPv6Address,
) -> None:
    """The standard library knows fewer special blocks, and follows no address within another one."""
    if is_public(address):
        assert address.is_global or address in IPv6Network("64:ff9b::/96") or address in IPv6Network("2002::/16")
        assert not address.is_multicast


def test_an_address_that_resolves_differently_a_moment_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection goes to the address that was checked."""
    answers = iter(["93.184.216.34", "127.0.0.1"])
    reached = []

    def resolve(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(None, None, None, "", (next(answers), 80))]

    monkeypatch.setattr("socket.getaddrinfo", resolve)
    monkeypatch.setattr("httpcore.SyncBackend.connect_tcp", lambda _self, host, *_: reached.append(host))
    network = PublicNetwork(allow_private=False)
    network.start_deadline(10)
    network.connect_tcp("rebound.example", 80)
    assert reached == ["93.184.216.34"]
    with pytest.raises(BadDocument, match="not a public address"):
        network.connect_tcp("rebound.example", 80)


@pytest.mark.parametrize("host", ["a" * 300, "a..b", "xn--" * 30, "a\0b"])
def test_names_that_dns_cannot_hold(host: str) -> None:
    with pytest.raises(BadDocument, match="cannot be found"):
        public_address(host, 80)
