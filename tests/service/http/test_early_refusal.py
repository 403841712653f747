"""Searches refused at the door: the same answer as elsewhere, and nobody else is turned away."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from service.config.api_keys import add_key
from service.http.request_log import SECURITY_HEADERS
from tests.service.conftest import Serve, Served
from tests.service.test_routes import SEARCH


@pytest.fixture
def shut(collections: Path, serve: Serve) -> Iterator[Served]:
    """A service that has no room for another search."""
    with serve(collections) as served:
        assert served.lifecycle.door is not None
        served.lifecycle.door.closed = lambda: True
        yield served


def ordinary(served: Served) -> httpx.Response:
    """A refusal by the guard, further in."""
    served.lifecycle.in_progress = 10_000
    answer = served.http.post(SEARCH, json={"query": "cats"}, headers={"X-Request-ID": "ordinary"})
    served.lifecycle.in_progress = 0
    return answer


def test_a_refusal_looks_like_any_other(shut: Served) -> None:
    found, other = shut.http.post(SEARCH, json={"query": "cats"}), ordinary(shut)
    assert (found.status_code, other.status_code) == (429, 429)
    assert set(found.headers) == set(other.headers)
    assert found.headers["retry-after"] == other.headers["retry-after"]
    assert {name: found.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    body = found.json()
    assert set(body) == set(other.json())
    assert (body["status"], body["code"], body["instance"]) == (429, "overloaded", SEARCH)
    assert body["request_id"] == found.headers["x-request-id"]


def test_refusals_are_counted(shut: Served) -> None:
    for _ in range(5):
        assert shut.http.post(SEARCH, json={"query": "cats"}).status_code == 429
    text = shut.http.get("/metrics").text
    assert 'attendex_refused_total{reason="search_queue"} 5.0' in text
    route = 'route="/v1/collections/{name}/search"'
    assert f'attendex_http_requests_total{{method="POST",{route},status="429"}} 5.0' in text


def test_who_needs_no_encoder_is_let_in(shut: Served) -> None:
    assert shut.http.post(SEARCH, json={"query": "cats", "mode": "lexical"}).status_code == 200
    assert shut.http.post("/v1/embeddings", json={"model": "default", "input": "cats"}).status_code == 200
    assert shut.http.get("/v1/collections").status_code == 200
    assert shut.http.get("/readyz").status_code == 200


def pieces(kind: str, whole: bytes) -> list[bytes]:
    return {
        "at once": [whole],
        "the body later": [whole[:-16], whole[-16:]],
        "in the middle of the body": [whole[:-5], whole[-5:]],
        "byte by byte": [whole[place : place + 1] for place in range(len(whole))],
        "two in one packet": [whole + whole],
    }[kind]


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("at once", 429),
        ("the body later", 429),
        ("in the middle of the body", 429),
        ("byte by byte", 200),  # not plainly a search, so it goes the ordinary way
        ("two in one packet", 200),
    ],
)
def test_however_it_arrives_it_is_answered(shut: Served, kind: str, status: int) -> None:
    body = json.dumps({"query": "cats"}).encode()
    head = f"POST {SEARCH} HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    address = urlsplit(shut.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces(kind, head.encode() + b"\r\n\r\n" + body):
            connection.sendall(piece)
            time.sleep(0.001)
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 %d" % status)


def test_a_connection_goes_on_after_a_refusal(shut: Served) -> None:
    door = shut.lifecycle.door
    assert door is not None
    for _ in range(3):
        door.closed = lambda: True
        assert shut.http.post(SEARCH, json={"query": "cats"}).status_code == 429
        door.closed = lambda: False
        assert shut.http.post(SEARCH, json={"query": "cats"}).status_code == 200


def test_who_does_not_read_the_answers_is_not_given_more_of_them(shut: Served) -> None:
    body = json.dumps({"query": "cats"}).encode()
    head = f"POST {SEARCH} HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    address = urlsplit(shut.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=0.5) as connection:
        connection.sendall(head.encode() + b"\r\n\r\n" + body)
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 429")
        (protocol,) = (each for each in shut.server.server_state.connections if each.loop and not each.cycle)
        protocol.loop.call_soon_threadsafe(protocol.pause_writing)  # as the transport does when too much is unread
        connection.sendall(head.encode() + b"\r\n\r\n" + body)
        with pytest.raises(TimeoutError):
            connection.recv(1 << 16)
        protocol.loop.call_soon_threadsafe(protocol.resume_writing)
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")


def test_strangers_are_asked_for_a_key_first(collections: Path, serve: Serve, tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys.json", "reader", "read", [])
    with serve(collections, keys=tmp_path / "keys.json") as served:
        assert served.lifecycle.door is not None
        served.lifecycle.door.closed = lambda: True
        for headers, status in (
            ({}, 401),
            ({"Authorization": "Bearer wrong"}, 401),
            ({"Authorization": f"Bearer {key}"}, 429),
            ({"X-API-Key": key}, 429),
        ):
            assert served.http.post(SEARCH, json={"query": "cats"}, headers=headers).status_code == status
        assert 'attendex_refused_total{reason="search_queue"} 2.0' in served.http.get("/metrics").text
