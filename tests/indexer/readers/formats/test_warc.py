"""Pages of web archives."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from retrieval.types import Document
from tests.indexer.readers.reading import read_all

PAGE = b"<!doctype html><html><head><title>%s</title></head><body><p>About %s.</p></body></html>"


def record(kind: str, address: str, media_type: str, body: bytes) -> bytes:
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {address}\r\nWARC-Date: 2024-01-01T10:00:00Z\r\n"
        f"Content-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body + b"\r\n\r\n"


def response(address: str, status: str, media_type: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return record("response", address, "application/http; msgtype=response", head.encode() + body)


# A page, a missing one, a picture, another page, and a text that was made from a page.
RECORDS = (
    record("warcinfo", "", "application/warc-fields", b"software: test\r\n"),
    response("http://example.org/a", "200 OK", "text/html; charset=utf-8", PAGE % (b"Weirs", b"weirs")),
    response("http://example.org/none", "404 Not Found", "text/html", PAGE % (b"No", b"no")),
    response("http://example.org/p.png", "200 OK", "image/png", b"\x89PNG" + bytes(20)),
    response("http://example.org/b?c=d", "200 OK", "text/html", PAGE % (b"Locks", b"locks")),
    record("conversion", "http://example.org/text", "text/plain", b"Plain words."),
)


@pytest.mark.parametrize("name", ["pages.warc", "pages.warc.gz", "pages"])
def test_pages(tmp_path: Path, name: str) -> None:
    packed = (gzip.compress(each) if name.endswith(".gz") else each for each in RECORDS)
    (tmp_path / name).write_bytes(b"".join(packed))
    documents, bad = read_all(tmp_path / name)
    assert bad == []
    assert [each.id for each in documents] == [
        "http://example.org/a",
        "http://example.org/b?c=d",
        "http://example.org/text",
    ]
    first = documents[0]
    assert isinstance(first, Document)
    assert (first.title, first.text) == ("Weirs", "About weirs.")
    assert first.metadata["url"] == "http://example.org/a"
    assert str(first.metadata["crawled"]).startswith("20")


def test_a_damaged_archive_gives_what_is_whole(tmp_path: Path) -> None:
    (tmp_path / "pages.warc").write_bytes(b"".join((*RECORDS[:2], b"nonsense\r\n\r\n", *RECORDS[2:])))
    documents, bad = read_all(tmp_path / "pages.warc")
    assert [each.id for each in documents][:1] == ["http://example.org/a"]
    assert bad
