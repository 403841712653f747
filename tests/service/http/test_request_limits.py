"""Attacks: large or slow bodies and heads, deadlines, too many requests."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from service.config.settings import Settings
from service.http import connections, lingering_close
from tests.service.conftest import Serve, Served, eventually
from tests.service.test_routes import SEARCH, problem

JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def tight(collections: Path, serve: Serve) -> Iterator[Served]:
    with serve(
        collections, **{"limits.body_bytes": 10_000, "limits.seconds": 1.5, "limits.header_bytes": 8_192}
    ) as served:
        yield served


def connect(served: Served) -> socket.socket:
    address = urlsplit(served.url)
    return socket.create_connection((address.hostname, address.port), timeout=60)


def head(length: int) -> bytes:
    lines = (
        f"POST {SEARCH} HTTP/1.1",
        "host: localhost",
        "content-type: application/json",
        f"content-length: {length}",
    )
    return "\r\n".join((*lines, "", "")).encode()


def all_of(connection: socket.socket) -> bytes:
    data = b""
    while part := connection.recv(65_536):
        data += part
    return data


def test_a_declared_body_that_is_too_large_is_refused_before_it_is_sent(tight: Served) -> None:
    with connect(tight) as connection:
        connection.sendall(head(999999999))
        answer = connection.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"application/problem+json" in answer


def test_a_body_without_a_length_is_counted(tight: Served) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(1_000):
            yield b" " * 1_000

    problem(tight.http.post(SEARCH, content=endless(), headers=JSON), 413, "too_large")


LARGE = bytes(30_000_000)  # more than the buffers of both sockets


def test_a_client_that_sends_a_too_large_body_reads_the_answer(tight: Served) -> None:
    problem(tight.http.post(SEARCH, content=LARGE, headers=JSON), 413, "too_large")


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (head(len(LARGE)), b"413"),
        (head(0).replace(b"content-length: 0", b"transfer-encoding: chunked") + b"1c9c380\r\n", b"413"),
        (head(len(LARGE)).replace(b"host", b"server"), b"400"),
        (b"GET /livez HTTP/1.1\r\nhost: localhost\r\nx-long: ", b"431"),
        (b"GET /livez?", b"414"),
        (b"\r\nGET /livez?" + b"y" * 9_000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n", b"414"),
    ],
)
@pytest.mark.parametrize("earlier", [0, 1])
def test_a_client_that_sends_everything_first_reads_the_answer(
    tight: Served, request_head: bytes, status: bytes, earlier: int
) -> None:
    with connect(tight) as connection:
        for _ in range(earlier):  # a request on the same connection
            connection.sendall(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")
            answer = b""
            while not answer.endswith(b'{"status":"ok"}'):
                answer += connection.recv(65_536)
        connection.sendall(request_head + LARGE)
        assert all_of(connection).startswith(b"HTTP/1.1 " + status)


def test_what_follows_a_refusal_is_bounded(tight: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lingering_close, "LINGER_BYTES", 1_000_000)
    with connect(tight) as connection, pytest.raises(ConnectionError):
        connection.sendall(head(len(LARGE)) + LARGE)


def test_a_body_that_never_ends_runs_into_the_deadline(tight: Served) -> None:
    with connect(tight) as connection:
        connection.sendall(head(50) + b"{")
        started = time.monotonic()
        answer = b""
        while not answer.endswith(b"}"):
            answer += connection.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"deadline_exceeded" in answer
    assert time.monotonic() - started > 1


def test_a_head_that_never_ends_is_cut_off(tight: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
    with connect(tight) as idle, connect(tight) as slow:
        slow.sendall(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n")
        assert all_of(slow) == b""
        assert all_of(idle) == b""
    assert tight.http.get("/livez").status_code == 200


def test_a_connection_that_is_kept_open_is_not_cut_off_between_requests(
    tight: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", -1.0)  # every request head is late at the next sweep
    with connect(tight) as connection, connect(tight) as idle:
        for closed in (False, True):
            connection.sendall(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")
            answer = b""
            while not answer.endswith(b'{"status":"ok"}'):
                answer += connection.recv(65_536)
            if not closed:
                assert all_of(idle) == b""  # a sweep has passed


def test_a_flood_of_headers_is_refused(tight: Served) -> None:
    with connect(tight) as connection:
        try:
            connection.sendall(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n")
            for number in range(10_000):
                connection.sendall(f"x-{number}: {'y' * 100}\r\n".encode())
            answer = all_of(connection)
        except (BrokenPipeError, ConnectionResetError):
            return
    assert answer.startswith(b"HTTP/1.1 431")


def arrived(served: Served, connection: socket.socket, size: int) -> bool:
    """Check whether the server has counted so many bytes of the head, or refused it."""
    port = connection.getsockname()[1]
    own = [each for each in served.server.server_state.connections if each.client and each.client[1] == port]
    return not own or own[0]._head_bytes >= min(size, 8_193)


@pytest.mark.parametrize("size", [8_000, 8_400, 60_000])
@pytest.mark.parametrize("cut", [0, 1, 2, 3])
def test_a_head_is_counted_however_it_arrives(tight: Served, size: int, cut: int) -> None:
    body = b'{"query": "cats"}' + b" " * 5_000  # which does not count
    start = (
        f"POST {SEARCH} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    )
    head = f"{start}\r\nx-long: ".encode()
    whole = head + b"y" * (size - len(head) - 4) + b"\r\n\r\n"
    with connect(tight) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(whole[: size - cut])
        eventually(lambda: arrived(tight, connection, size - cut))
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(whole[size - cut :] + body)
        answer = connection.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 200" if size <= 8_192 else b"HTTP/1.1 431")


def test_refused_heads_are_counted(tight: Served) -> None:
    with connect(tight) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nx-long: " + b"y" * 10_000 + b"\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 431")
    assert 'attendex_refused_total{reason="head"}' in tight.http.get("/metrics").text


def test_calls_off_the_event_loop_are_bounded(collections: Path, serve: Serve) -> None:
    async def main(url: str) -> list[int]:
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            body = {"inputs": ["a text to look into"] * 32}
            answers = await asyncio.gather(*(client.post("/embed_all", json=body) for _ in range(24)))
        return [answer.status_code for answer in answers]

    with serve(collections, **{"queue.length": 4}) as served:
        statuses = asyncio.run(main(served.url))
        assert set(statuses) == {200, 429}
        assert served.http.get("/v1/collections").status_code == 200
        assert 'attendex_refused_total{reason="threads"}' in served.http.get("/metrics").text


def test_tokens_are_shown_of_so_much_text_at_once(collections: Path, serve: Serve) -> None:
    with serve(collections, **{"limits.text_characters": 100}) as served:
        assert served.http.post("/tokenize", json={"inputs": ["a " * 20, "b " * 20]}).status_code == 200
        assert served.http.post("/tokenize", json={"inputs": ["a " * 40, "b " * 40]}).status_code == 413


def test_random_bytes_get_an_answer_and_never_a_server_error(small: Served) -> None:
    rng = random.Random(0)
    paths = [SEARCH, f"{SEARCH}/batch", "/v1/embeddings", "/embed", "/v2/rerank", "/v1/collections/small/documents"]
    statuses: Counter[int] = Counter()
    for number in range(1_000):
        body = rng.randbytes(rng.randrange(200)) if number % 2 else _nearly_json(rng)
        response = small.http.post(rng.choice(paths), content=body, headers=JSON)
        statuses[response.status_code] += 1
    assert set(statuses) <= {400, 422}, statuses


def _nearly_json(rng: random.Random) -> bytes:
    """JSON of a search with one byte changed, so that it breaks in every place."""
    text = bytearray(b'{"query": 3, "k": 3, "input": {}, "inputs": null, "documents": [{"id": "a"}]}')
    text[rng.randrange(len(text))] = rng.randrange(256)
    return bytes(text)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/collections/../../etc/passwd",
        "/v1/collections/%2e%2e/search?q=x",
        "/v1/collections/small%00/search?q=x",
        "/v1/collections/..%2f..%2fsmall",
        "/v1/collections/small/../../../etc",
        "/v1/collections/" + "a" * 5_000,
        "/v1/collections/small/documents/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "//etc/passwd",
    ],
)
def test_tricks_with_paths_find_nothing(small: Served, path: str) -> None:
    with connect(small) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
        answer = all_of(connection)
    assert answer.split(b" ")[1] in (b"404", b"422"), answer
    assert b"root:" not in answer


def test_what_is_too_much_at_once_is_refused_before_a_place_is_free(collections: Path, serve: Serve) -> None:
    with serve(collections, **{"limits.requests": 4}) as served:
        held = [connect(served) for _ in range(4)]
        for connection in held:  # heads without bodies: in progress until the deadline
            connection.sendall(head(15))
        eventually(lambda: served.lifecycle.in_progress >= 4)
        started = time.monotonic()
        refused = served.http.post(SEARCH, json={"query": "cats"})
        assert time.monotonic() - started < Settings().limits.seconds / 2
        problem(refused, 429, "overloaded")
        assert refused.headers["retry-after"] == "1"
        assert served.http.get("/readyz").status_code == 200
        for connection in held:
            connection.sendall(b'{"query":"cat"}')
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
            connection.close()
        assert served.http.post(SEARCH, json={"query": "cats"}).status_code == 200


def test_a_full_queue_refuses_and_accepted_requests_are_answered(collections: Path, serve: Serve) -> None:
    async def storm(url: str) -> Counter[int]:
        limits = httpx.Limits(max_connections=120)
        async with httpx.AsyncClient(base_url=url, timeout=30, limits=limits) as client:
            asked = [client.post(SEARCH, json={"query": f"cats {number}"}) for number in range(120)]
            return Counter(answer.status_code for answer in await asyncio.gather(*asked))

    with serve(collections, **{"queue.length": 4, "queue.batch_searches": 1, "queue.threads": 1}) as served:
        statuses = asyncio.run(storm(served.url))
        assert set(statuses) == {200, 429}
        assert served.http.post(SEARCH, json={"query": "cats"}).status_code == 200
        metrics = served.http.get("/metrics").text
        assert f'attendex_refused_total{{reason="search_queue"}} {float(statuses[429])}' in metrics


def test_identical_requests_under_load_give_identical_answers(small: Served) -> None:
    async def storm() -> list[dict[str, object]]:
        async with httpx.AsyncClient(base_url=small.url, timeout=30) as client:
            asked = [
                client.post(SEARCH, json={"query": "how do cats sleep" if number % 2 else f"noise {number}" * 9})
                for number in range(60)
            ]
            return [answer.json() for answer in await asyncio.gather(*asked)][1::2]

    answers = asyncio.run(storm())
    for each in answers:
        each.pop("timings_ms")
    assert all(each == answers[0] for each in answers)


def test_answers_carry_security_headers(small: Served) -> None:
    for path in ("/livez", "/v1/collections", "/nothing", "/openapi.json"):
        headers = small.http.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert "server" not in headers
        assert "access-control-allow-origin" not in headers


def test_browsers_of_named_origins_are_let_in(collections: Path, serve: Serve) -> None:
    with serve(collections, cors_origins=["https://good.example"], api_key="key-of-many-characters") as served:
        asked = "authorization, traceparent, x-stainless-os"
        ask = {"access-control-request-method": "POST", "access-control-request-headers": asked}
        good = served.http.options(SEARCH, headers={"origin": "https://good.example", **ask})
        assert good.headers["access-control-allow-origin"] == "https://good.example"
        assert "access-control-allow-credentials" not in good.headers
        bad = served.http.options(SEARCH, headers={"origin": "https://bad.example", **ask})
        assert "access-control-allow-origin" not in bad.headers
        refused = served.http.get("/v1/models", headers={"origin": "https://good.example"})
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == "https://good.example"
        assert "X-Request-ID" in refused.headers["access-control-expose-headers"]
