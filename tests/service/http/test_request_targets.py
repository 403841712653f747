"""Addresses of more than plain ASCII: the right answer, or a clean 400."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import quote

import pytest

from tests.service.conftest import Served

DOCUMENTS = "/v1/collections/small/documents"


def answer(served: Served, target: bytes, method: bytes = b"GET") -> tuple[int, dict[str, Any]]:
    """Send a request line as it is; return status and body."""
    host, port = served.http.base_url.host, served.http.base_url.port
    with socket.create_connection((host, port), timeout=20) as connection:
        connection.sendall(method + b" " + target + b" HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        received = b""
        while part := connection.recv(65_536):
            received += part
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body) if b"json" in head else {}


@pytest.mark.parametrize("encoded", [quote("größe").encode(), quote("größe").lower().encode()])
def test_an_id_beyond_ascii_is_found(small: Served, encoded: bytes) -> None:
    status, body = answer(small, b"%b/%b" % (DOCUMENTS.encode(), encoded))
    assert (status, body["id"]) == (200, "größe")
    status, body = answer(small, b"%b?id=%b" % (DOCUMENTS.encode(), encoded))
    assert (status, body["total"]) == (200, 1)


@pytest.mark.parametrize("query", ["größe", "Größe", "дом 家", "😀"])
def test_a_query_beyond_ascii_is_read(small: Served, query: str) -> None:
    status, body = answer(small, b"/v1/collections/small/search?q=" + quote(query).encode())
    assert (status, body["query"]) == (200, query)


TARGETS = [
    b"/v1/collections/%b",
    b"/v1/collections/%b/search?q=a",
    DOCUMENTS.encode() + b"/%b",
    DOCUMENTS.encode() + b"?id=%b",
    b"/v1/collections/small/search?q=%b",
    b"/v1/models/%b",
    b"/%b",
]


@pytest.mark.parametrize("bad", [b"%E9", b"caf%e9", b"%FF%FE", b"%C3", b"%ED%A0%80", b"%C0%AF"])
@pytest.mark.parametrize("target", TARGETS)
def test_what_is_no_utf8_is_refused(small: Served, target: bytes, bad: bytes) -> None:
    status, body = answer(small, target.replace(b"%b", bad))
    assert status == 400
    assert "UTF-8" in json.dumps(body)


@pytest.mark.parametrize("bad", ["é".encode(), b"\xe9", b"\xff\xfe"])
@pytest.mark.parametrize("target", TARGETS)
def test_bytes_that_are_not_percent_encoded_are_refused(small: Served, target: bytes, bad: bytes) -> None:
    assert answer(small, target.replace(b"%b", bad)) == (400, {})


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"/v1/collections/small/documents/cat%2F1", 200),
        (b"/v1/collections/small/documents/cat%2f1", 200),
        (b"/v1/collections/small/documents/cat%252F1", 404),
        (b"/v1/collections/a%2Fb", 404),
        (b"/v1/collections/na%C3%AFve", 404),
        (b"/v1/collections/small%00", 404),
        (b"/v1/collections/small/documents/%00", 404),
        (b"/v1/collections/small/documents?id=%00", 200),
        (b"/v1/collections/small/search?q=100%", 200),
        (b"/v1/collections/small/search?q=100%zz", 200),
        (b"/v1/collections/small/search?q=%00", 200),
        (b"http://localhost/livez", 200),
        (b"/%E2%80%AE", 404),
        (b"*", 404),
        (b"livez", 400),
    ],
)
def test_other_targets_have_a_clean_answer(small: Served, target: bytes, status: int) -> None:
    assert answer(small, target)[0] == status
