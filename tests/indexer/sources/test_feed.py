"""Entries of feeds, from a local server with ETags."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest

from indexer.building.source_sync import sync_collection
from indexer.sources.feed import FeedSource
from indexer.sources.settings import SourceSettings
from indexer.sources.source import fetch_files
from retrieval.errors import BadDocument
from retrieval.index.collection.index_reader import open_index_reader
from tests.indexer.sources.servers import http_server, items

ENTRY = """<item><guid>urn:{0}</guid><title>Entry {0} &amp; more</title><link>https://example.org/{0}</link>
<pubDate>Mon, 01 Jan 2024 10:00:00 GMT</pubDate><description>&lt;p&gt;About {1}.&lt;/p&gt;</description></item>"""


class Feed:
    """A feed whose answers depend on its entries."""

    def __init__(self) -> None:
        self.entries = {"1": "weirs", "2": "locks"}
        self.statuses: list[int] = []
        self.failures = 0

    def answer(self, request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        if request.path != "/feed.xml":
            page = b"<html><body>No feed.</body></html>"
            return (200, {"Content-Type": "text/html"}, page) if request.path == "/page" else (404, {}, b"")
        status, headers, body = self._feed(request)
        self.statuses.append(status)
        return status, headers, body

    def _feed(self, request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        if self.failures:
            self.failures -= 1
            return 503, {}, b""
        tag = f'"{abs(hash(tuple(self.entries.items())))}"'
        if request.headers.get("If-None-Match") == tag:
            return 304, {"ETag": tag}, b""
        body = "".join(ENTRY.format(*entry) for entry in self.entries.items())
        text = f'<?xml version="1.0"?><rss version="2.0"><channel><title>News</title>{body}</channel></rss>'
        return 200, {"ETag": tag, "Content-Type": "application/rss+xml"}, text.encode()


@pytest.fixture
def served() -> Iterator[tuple[Feed, str]]:
    feed = Feed()
    with http_server(feed.answer) as address:
        yield feed, f"feed+{address}/feed.xml"


def settings(address: str, **more: object) -> SourceSettings:
    return SourceSettings(source=address, private=True, **more)  # type: ignore[arg-type]


def test_entries_become_pages(served: tuple[Feed, str], tmp_path: Path) -> None:
    with FeedSource(settings(served[1], prefix="f/")) as source:
        source.version("")
        files = list(fetch_files(source, source.list(), tmp_path))
    assert [each.origin.name for each in files] == ["f/urn:1", "f/urn:2"]
    assert "<title>Entry 1 &amp; more</title>" in files[0].path.read_text()
    assert "<p>About weirs.</p>" in files[0].path.read_text()


def test_a_feed_keeps_the_entries_that_it_no_longer_lists(served: tuple[Feed, str], tmp_path: Path) -> None:
    feed, address = served
    sources = [settings(address)]
    sync_collection(tmp_path / "c", sources)
    assert sync_collection(tmp_path / "c", sources).build is None
    assert feed.statuses.count(304) == 1
    feed.entries = {"2": "locks and gates", "3": "canals"}
    report = sync_collection(tmp_path / "c", sources)
    assert report.sources[0].read == 2
    with open_index_reader(tmp_path / "c") as reader:
        documents = {each.id: each for each in reader.documents(np.flatnonzero(reader.live_documents))}
    assert sorted(documents) == ["urn:1", "urn:2", "urn:3"]
    assert documents["urn:1"].metadata["url"] == "https://example.org/1"
    assert documents["urn:1"].title == "Entry 1 & more"


def test_a_feed_is_fetched_again_after_a_failure(served: tuple[Feed, str]) -> None:
    served[0].failures = 2
    assert len(items(FeedSource(settings(served[1])))) == 2


def test_a_page_that_is_no_feed(served: tuple[Feed, str]) -> None:
    with pytest.raises(BadDocument, match="is no RSS or Atom feed"):
        items(FeedSource(settings(served[1].replace("feed.xml", "page"))))


def test_a_private_address_is_refused(served: tuple[Feed, str]) -> None:
    with pytest.raises(BadDocument, match="not a public address"):
        items(FeedSource(SourceSettings(source=served[1], retries=0)))
