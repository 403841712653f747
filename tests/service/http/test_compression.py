"""Compressed answers: the same bytes, for callers that accept a coding."""

from __future__ import annotations

import gzip

import httpx
import pyarrow
import pytest

from service.http.compression import accepted_coding
from tests.service.conftest import Served

SEARCH = "/v1/collections/small/search"


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("zstd;q=0.5, gzip;q=0.8", "gzip"),
        ("gzip;q=0", ""),
        ("*", "zstd"),
        ("identity, gzip;q=0.5", ""),
        ("br", ""),
        ("gzip;q=nonsense", ""),
        ("", ""),
    ],
)
def test_the_preferred_coding_is_chosen(header: str, coding: str) -> None:
    assert accepted_coding(header) == coding


def raw(served: Served, method: str, path: str, coding: str, **options: object) -> tuple[httpx.Headers, bytes]:
    """Return the headers and the bytes of an answer as they came."""
    headers = {"Accept-Encoding": coding}
    with served.http.stream(method, path, headers=headers, **options) as answer:  # type: ignore[arg-type]
        return answer.headers, b"".join(answer.iter_raw())


def plain(coding: str, body: bytes) -> bytes:
    """Return the bytes without their coding."""
    if coding == "zstd":
        return pyarrow.CompressedInputStream(pyarrow.BufferReader(body), "zstd").read()
    return gzip.decompress(body) if coding == "gzip" else body


@pytest.mark.parametrize("path", ["/", "/openapi.json", "/static/app.js", "/v1/collections/small/documents"])
@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_compressed_answer_is_the_plain_one(small: Served, path: str, coding: str) -> None:
    headers, body = raw(small, "GET", path, "identity")
    compressed_headers, compressed = raw(small, "GET", path, coding)
    if len(body) <= 1_024:
        assert compressed == body
        return
    assert compressed_headers["Content-Encoding"] == coding
    assert int(compressed_headers["Content-Length"]) == len(compressed) < len(body)
    assert "Accept-Encoding" in compressed_headers["Vary"]
    assert plain(coding, compressed) == body
    assert "Content-Encoding" not in headers


def test_small_answers_are_not_compressed(small: Served) -> None:
    headers, _ = raw(small, "GET", "/livez", "gzip")
    assert "Content-Encoding" not in headers


def test_the_browser_keeps_a_compressed_file(small: Served) -> None:
    headers, _ = raw(small, "GET", "/static/app.js", "gzip")
    again = small.http.get("/static/app.js", headers={"If-None-Match": headers["ETag"]})
    assert (again.status_code, headers["ETag"][:2]) == (304, "W/")


def test_attention_has_the_heads_that_were_asked_for(small: Served) -> None:
    path, attention = "/v1/collections/small/attention", {"query": "cats", "id": "cat/1", "layer": 2}
    every = small.http.post(path, json=attention).json()
    some = small.http.post(path, json={**attention, "heads": [3, 1]}).json()
    assert len(every["weights"]) == every["heads"] == some["heads"]
    assert some["weights"] == [every["weights"][3], every["weights"][1]]
    wrong = small.http.post(path, json={**attention, "heads": [12]})
    assert (wrong.status_code, "heads 0 to 11" in wrong.json()["detail"]) == (400, True)
