"""Searches refused early: the same answer as elsewhere, no other refusals."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from service.config.api_keys import add_key
from service.http.request_limits import SearchGate
from service.http.request_log import SECURITY_HEADERS
from tests.service.conftest import Serve, Served
from tests.service.test_routes import SEARCH


@dataclass
class FullQueue:
    """A search queue that says that it is full."""

    queue: SearchGate
    full: bool = True

    def record_refusal(self) -> None:
        self.queue.record_refusal()


def fill(served: Served) -> FullQueue:
    gate = served.lifecycle.search_gate
    assert gate is not None
    served.lifecycle.search_gate = filled = FullQueue(gate)
    return filled


@pytest.fixture
def full(collections: Path, serve: Serve) -> Iterator[Served]:
    """Yield a service whose search queue is full."""
    with serve(collections) as served:
        fill(served)
        yield served


def ordinary(served: Served) -> httpx.Response:
    """Return a refusal by an inner layer."""
    served.lifecycle.requests.add(10_000)
    headers = {"X-Request-ID": "ordinary", "Origin": "https://example.org"}
    answer = served.http.post(SEARCH, json={"query": "cats"}, headers=headers)
    served.lifecycle.requests.add(-10_000)
    return answer


def test_a_refusal_looks_like_any_other(full: Served) -> None:
    found, other = full.http.post(SEARCH, json={"query": "cats"}), ordinary(full)
    assert (found.status_code, other.status_code) == (429, 429)
    assert set(found.headers) == set(other.headers)
    assert found.headers["retry-after"] == other.headers["retry-after"]
    assert found.headers["content-type"] == other.headers["content-type"]
    assert {name: found.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    body = found.json()
    assert set(body) == set(other.json())
    assert (body["status"], body["code"], body["instance"]) == (429, "overloaded", SEARCH)
    assert body["request_id"] == found.headers["x-request-id"]


def test_a_refusal_keeps_the_caller_s_request_id(full: Served) -> None:
    refused = full.http.post(SEARCH, json={"query": "cats"}, headers={"X-Request-ID": "mine"})
    assert (refused.status_code, refused.headers["x-request-id"], refused.json()["request_id"]) == (429, "mine", "mine")


def test_refusals_are_counted(full: Served) -> None:
    for _ in range(5):
        assert full.http.post(SEARCH, json={"query": "cats"}).status_code == 429
    text = full.http.get("/metrics").text
    assert 'attendex_refused_total{reason="search_queue"} 5.0' in text
    route = 'route="/v1/collections/{name}/search"'
    assert f'attendex_http_requests_total{{method="POST",{route},status="429"}} 5.0' in text


def test_requests_that_need_no_encoder_are_answered(full: Served) -> None:
    assert full.http.post(SEARCH, json={"query": "cats", "mode": "lexical"}).status_code == 200
    assert full.http.post("/v1/embeddings", json={"model": "default", "input": "cats"}).status_code == 200
    assert full.http.get("/v1/collections").status_code == 200
    assert full.http.get("/readyz").status_code == 200


def request(*headers: str) -> bytes:
    """Return a search in bytes, with further header lines."""
    body = json.dumps({"query": "cats"}).encode()
    head = [
        f"POST {SEARCH} HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*head, *headers, "", ""]).encode() + body


def connect(served: Served, timeout_s: float = 10) -> socket.socket:
    address = urlsplit(served.url)
    return socket.create_connection((address.hostname or "", address.port or 0), timeout=timeout_s)


def whole_answer(connection: socket.socket) -> bytes:
    """Return one answer: the server may send its head and its body apart."""
    answer = b""
    while not answer.endswith(b"}"):
        answer += connection.recv(1 << 16)
    return answer


@pytest.mark.parametrize("size", [1_000, 16, 5, 1], ids=lambda size: f"{size} bytes at a time")
def test_a_search_is_refused_however_it_arrives(full: Served, size: int) -> None:
    whole = request()
    with connect(full) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(whole), size):
            connection.sendall(whole[start : start + size])
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 429")


def test_two_searches_in_one_packet_get_two_answers(full: Served) -> None:
    with connect(full) as connection:
        connection.sendall(request() + request("Connection: close"))
        answer = b""
        while part := connection.recv(1 << 16):
            answer += part
    assert answer.count(b"HTTP/1.1 429") == 2


def test_several_content_lengths_are_refused_by_the_server(full: Served) -> None:
    with connect(full) as connection:
        connection.sendall(request("Content-Length: 4"))
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 400")


def test_a_body_that_does_not_come_is_left_to_the_inner_layers(full: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.http.early_refusal.BODY_SECONDS", 0.0)
    with connect(full) as connection:
        whole = request()
        connection.sendall(whole[:-5])
        while not full.lifecycle.in_progress:
            assert full.http.get("/livez").status_code == 200
        connection.sendall(whole[-5:])
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")


def test_a_connection_goes_on_after_a_refusal(full: Served) -> None:
    gate = full.lifecycle.search_gate
    assert isinstance(gate, FullQueue)
    for _ in range(3):
        gate.full = True
        assert full.http.post(SEARCH, json={"query": "cats"}).status_code == 429
        gate.full = False
        assert full.http.post(SEARCH, json={"query": "cats"}).status_code == 200


def test_a_caller_that_does_not_read_the_answers_gets_no_more_of_them(full: Served) -> None:
    with connect(full, timeout_s=0.5) as connection:
        connection.sendall(request())
        assert whole_answer(connection).startswith(b"HTTP/1.1 429")
        (protocol,) = full.server.server_state.connections
        protocol.loop.call_soon_threadsafe(protocol.pause_writing)  # as the transport does when too much is unread
        connection.sendall(request())
        with pytest.raises(TimeoutError):
            connection.recv(1 << 16)
        protocol.loop.call_soon_threadsafe(protocol.resume_writing)
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 429")


def test_callers_without_a_key_are_asked_for_it_first(collections: Path, serve: Serve, tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys.json", "reader", "read", [])
    with serve(collections, keys=tmp_path / "keys.json") as served:
        fill(served)
        for headers, status in (
            ({}, 401),
            ({"Authorization": "Bearer wrong"}, 401),
            ({"Authorization": f"Bearer {key}"}, 429),
            ({"X-API-Key": key}, 429),
        ):
            assert served.http.post(SEARCH, json={"query": "cats"}, headers=headers).status_code == status
        assert 'attendex_refused_total{reason="search_queue"} 2.0' in served.http.get("/metrics").text
