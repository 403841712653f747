"""Attacks: connections that are held open, heads that parsers read in two ways."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest

from benchmarks.load import Orders, run_load
from service.http import connections, lingering_close
from tests.service.conftest import Serve, Served, eventually
from tests.service.test_operations import process
from tests.service.test_routes import SEARCH

GET = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n"
KEY = "key-of-many-characters"
AUTHORIZED = f"authorization: Bearer {KEY}\r\n".encode()


def search_head(length: int, more: bytes = b"") -> bytes:
    lines = (
        f"POST {SEARCH} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n"
    )
    return lines.encode() + more + b"\r\n"


def connect(served: Served, *, small_buffer: bool = False) -> socket.socket:
    address = urlsplit(served.url)
    connection = socket.socket()
    connection.settimeout(20)
    if small_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    connection.connect((address.hostname, address.port))
    return connection


def is_open(served: Served, connection: socket.socket) -> bool:
    """Check whether the server still has a connection."""
    port = connection.getsockname()[1]
    return any(each.client and each.client[1] == port for each in list(served.server.server_state.connections))


def after_answer(rest: bytes) -> Callable[[socket.socket], None]:
    """Return a function that waits for the answer, then sends the rest."""

    def send(connection: socket.socket) -> None:
        assert connection.recv(65_536).startswith(b"HTTP/1.1 ")
        connection.sendall(rest)

    return send


HELD: dict[str, tuple[bytes, Callable[[socket.socket], None] | None]] = {
    "nothing is sent": (b"", None),
    "line breaks only": (b"\r\n" * 3, None),
    "half a head": (GET, None),
    "answered and idle": (GET + b"\r\n", None),
    "line breaks after the answer": (GET + b"\r\n", after_answer(b"\r\n")),
    "half of the next head": (GET + b"\r\n", after_answer(GET)),
    "two answers, half of the next head": ((GET + b"\r\n") * 2 + GET, None),
    "no key, a body that never comes": (search_head(8_000_000), None),
    "no key, a byte of the body after the answer": (search_head(8_000_000), after_answer(b"x")),
    "no key, a chunk that never ends": (
        search_head(0).replace(b"content-length: 0", b"transfer-encoding: chunked") + b"ff\r\n",
        after_answer(b"x"),
    ),
    "a refused body that never ends": (search_head(100_000_000), after_answer(b"x")),
    "a key, a body that never comes": (search_head(1_000, AUTHORIZED), None),
    "a key, a byte of the body after the 503": (search_head(1_000, AUTHORIZED), after_answer(b"x")),
    "a probe with a body": (GET + b"content-length: 1000\r\n\r\n", after_answer(b"x")),
    "an upgrade": (GET + b"connection: upgrade\r\nupgrade: other\r\n\r\n", after_answer(b"x")),
    "answers that are not read": (b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n" * 60, None),
    "a last answer that is not read": (
        b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
        None,
    ),
}


@pytest.fixture
def impatient(collections: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """Yield a service that waits for clients for less than a second."""
    for name in ("HEAD_SECONDS", "IDLE_SECONDS", "UNREAD_SECONDS"):
        monkeypatch.setattr(connections, name, 0.5)
    monkeypatch.setattr(lingering_close, "LINGER_SECONDS", 0.5)
    with serve(collections, api_key=KEY, **{"limits.seconds": 0.5}) as served:
        yield served


def test_no_connection_is_held_open(impatient: Served) -> None:
    held = {}
    with ExitStack() as stack:
        for name, (first, _) in HELD.items():
            held[name] = stack.enter_context(connect(impatient, small_buffer="not read" in name))
            held[name].sendall(first)
        for name, (_, then) in HELD.items():
            if then is not None:
                then(held[name])
        eventually(lambda: not any(is_open(impatient, each) for each in held.values()))
        assert impatient.http.get("/livez").status_code == 200


def test_a_slow_reader_that_reads_gets_its_whole_answer(impatient: Served) -> None:
    whole = len(impatient.http.get("/openapi.json").content)
    with connect(impatient, small_buffer=True) as connection:
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        received = b""
        while part := connection.recv(8_192):
            received += part
    assert len(received.partition(b"\r\n\r\n")[2]) == whole


def test_a_new_connection_replaces_the_one_that_has_been_silent_the_longest(collections: Path, serve: Serve) -> None:
    with serve(collections, **{"limits.connections_per_address": 8}) as served, ExitStack() as stack:
        assert served.http.get("/livez").status_code == 200
        [kept] = served.server.server_state.connections
        others = []
        for _ in range(40):
            others.append(stack.enter_context(connect(served)))
            assert served.http.get("/livez").status_code == 200
        assert served.server.server_state.connections >= {kept}
        eventually(lambda: [is_open(served, each) for each in others] == [False] * 33 + [True] * 7)
        assert 'attendex_refused_total{reason="connections"} 33.0' in served.http.get("/metrics").text


def test_a_connection_with_a_running_request_is_never_replaced(collections: Path, serve: Serve) -> None:
    with serve(collections, **{"limits.connections": 3}) as served, connect(served) as first, connect(served) as second:
        body = b'{"inputs": [' + b", ".join(b'"text number %d"' % number for number in range(400)) + b"]}"
        head = search_head(len(body)).replace(SEARCH.encode(), b"/embed")
        for connection in (first, second):
            connection.sendall(head + body)
        with connect(served) as third:
            third.sendall(head + body)
            eventually(lambda: served.lifecycle.in_progress == 3)
            with connect(served) as fourth:
                assert fourth.recv(65_536).startswith(b"HTTP/1.1 503")
            for connection in (first, second, third):
                assert connection.recv(65_536).startswith(b"HTTP/1.1 200")


def test_unread_answers_are_bounded_in_bytes(collections: Path, serve: Serve) -> None:
    with serve(collections, **{"limits.unread_bytes": 500_000}) as served, ExitStack() as stack:
        largest = len(served.http.get("/openapi.json").content)
        for _ in range(12):
            connection = stack.enter_context(connect(served, small_buffer=True))
            connection.sendall(b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n" * 60)
        eventually(lambda: 'attendex_refused_total{reason="unread"}' in served.http.get("/metrics").text)
        held = [each.transport.get_write_buffer_size() for each in list(served.server.server_state.connections)]
        assert sum(held) <= 500_000 + 2 * largest


def silent(url: str, first: bytes = b"") -> socket.socket:
    """Return a connection that sends some bytes and then nothing."""
    address = urlsplit(url)
    connection = socket.create_connection((address.hostname, address.port), timeout=60)
    connection.sendall(first)
    return connection


@pytest.mark.slow
def test_silent_connections_do_not_exhaust_the_files_of_the_process(collections: Path) -> None:
    with process(collections, "--set", f"api_key={KEY}", files=256) as (_, url), ExitStack() as stack:
        for _ in range(400):
            connection = stack.enter_context(silent(url, search_head(8_000_000)))
            assert connection.recv(65_536).startswith(b"HTTP/1.1 401")
            connection.sendall(b"x")
        assert httpx.get(f"{url}/readyz", timeout=120).status_code == 200
        headers = {"x-api-key": KEY}
        assert httpx.post(f"{url}{SEARCH}", json={"query": "cats"}, headers=headers, timeout=30).status_code == 200


@pytest.mark.slow  # measures for seconds
def test_two_thousand_silent_connections_slow_no_search(collections: Path) -> None:
    bodies = [json.dumps({"query": f"cats and stroke {number}"}) for number in range(20_000)]
    starts = (b"", GET, search_head(1_000), search_head(1_000, b"expect: 100-continue\r\n"))
    p99: dict[int, list[float]] = {0: [], 2_000: []}
    with process(collections, "--set", "log.requests=false") as (_, url):
        orders = Orders(url, SEARCH, bodies, callers=2, seconds=2.0)
        run_load(orders)
        for count in [*p99] * 3:
            with ExitStack() as stack:
                for number in range(count):
                    stack.enter_context(silent(url, starts[number % len(starts)]))
                seen = run_load(orders)
            assert set(seen.statuses) == {"200"}
            p99[count].append(float(np.percentile(seen.latencies_ms, 99)))
    ratio = median(p99[2_000]) / median(p99[0])
    print(f"p99 of the searches beside 2,000 silent connections: {ratio:.2f} times that without them ({p99})")
    assert ratio <= 2


def answers_to(served: Served, request: bytes) -> list[bytes]:
    """Return the statuses of the answers on one connection, until the service closes it."""
    with connect(served) as connection:
        connection.sendall(request)
        received = b""
        while part := connection.recv(65_536):
            received += part
    return re.findall(rb"HTTP/1\.1 (\d+)", received)


BODY = b'{"query":"heat"}'
SMUGGLED = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    "lines",
    [
        b"content-length: 16\r\n",  # without a host
        b"host: localhost\r\nhost: localhost\r\ncontent-length: 16\r\n",
        b"host: localhost\r\nhost: example.org\r\ncontent-length: 16\r\n",
        b"host: localhost\r\ncontent-length: 16\r\ncontent-length: 60\r\n",
        b"host: localhost\r\ncontent-length: 16\r\ncontent-length: 16\r\n",
        b"host: localhost\r\ncontent-length: 16, 16\r\n",
        b"host: localhost\r\ncontent-length: +16\r\n",
        b"host: localhost\r\ncontent-length: 0x10\r\n",
        b"host: localhost\r\ncontent-length: 1 6\r\n",
        b"host: localhost\r\ncontent-length: 16\r\ntransfer-encoding: chunked\r\n",
        b"host: localhost\r\ntransfer-encoding: chunked\r\ncontent-length: 16\r\n",
        b"host: localhost\r\ntransfer-encoding: chunked, identity\r\n",
        b"host: localhost\r\ntransfer-encoding: xchunked\r\n",
        b"host: localhost\r\ntransfer-encoding : chunked\r\ncontent-length: 16\r\n",
        b"host: localhost\r\n transfer-encoding: chunked\r\ncontent-length: 16\r\n",
        b"host: localhost\ntransfer-encoding: chunked\r\ncontent-length: 16\r\n",
        b"host: localhost\r\nx-a: a\0b\r\ncontent-length: 16\r\n",
        b"host: localhost\r\nx-a: a\rtransfer-encoding: chunked\r\ncontent-length: 16\r\n",
        b"host: localhost\r\ngarbage\r\ncontent-length: 16\r\n",
    ],
)
def test_a_head_with_two_readings_is_refused_and_ends_the_connection(small: Served, lines: bytes) -> None:
    head = f"POST {SEARCH} HTTP/1.1\r\ncontent-type: application/json\r\n".encode() + lines + b"\r\n"
    assert answers_to(small, head + BODY + SMUGGLED) == [b"400"]


def test_white_space_around_a_header_is_not_part_of_its_value(small: Served) -> None:
    with connect(small) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nhost: \t localhost \t \r\nconnection: close \r\n\r\n")
        assert connection.recv(4_096).startswith(b"HTTP/1.1 200")


def test_many_requests_in_one_packet_are_bounded(small: Served) -> None:
    last = SMUGGLED.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    assert answers_to(small, SMUGGLED * connections.MAX_PIPELINED + last) == [b"200"] * (connections.MAX_PIPELINED + 1)
    assert b"400" in answers_to(small, SMUGGLED * (connections.MAX_PIPELINED + 2))


def test_a_large_body_behind_a_request_without_an_answer_is_refused(small: Served) -> None:
    body = b'{"query": "' + b"a" * connections.HIGH_WATER_LIMIT + b'"}'
    head = f"POST {SEARCH} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    assert b"400" in answers_to(small, SMUGGLED + head + body)
