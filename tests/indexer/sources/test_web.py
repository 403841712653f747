"""Fetching: allowed hosts, public addresses, robots.txt, and limits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from indexer.readers.base.options import ReadOptions, WebOptions
from indexer.readers.opening import open_documents
from retrieval.errors import BadDocument
from retrieval.types import Document

PAGE = "<!doctype html><html><head><title>A page</title></head><body><h1>A page</h1><p>Its text.</p></body></html>"
OPEN = WebOptions(allow_private=True, delay_seconds=0.0)


class Site(BaseHTTPRequestHandler):
    """A small site with traps."""

    def do_GET(self) -> None:
        base = f"http://127.0.0.1:{self.server.server_address[1]}"
        locations = "".join(f"<url><loc>{base}{path}</loc></url>" for path in ("/a", "/private/b", "/missing"))
        bodies = {
            "/robots.txt": "User-agent: *\nDisallow: /private/\n",
            "/a": PAGE,
            "/private/b": PAGE,
            "/sitemap.xml": f'<?xml version="1.0"?><urlset>{locations}</urlset>',
            "/large": "x" * 5_000,
            "/twice.xml": f"<urlset><url><loc>{base}/a</loc></url><url><loc>{base}/a</loc></url></urlset>",
        }
        if self.path.startswith("/endless"):
            following = f"{base}/endless{int(self.path.removeprefix('/endless') or 0) + 1}"
            bodies[self.path] = f"<sitemapindex><sitemap><loc>{following}</loc></sitemap></sitemapindex>"
        moves = {"/moved": "/a", "/loop": "/loop", "/away": "http://example.invalid/", "/inside": "file:///etc/passwd"}
        if self.path in moves:
            self.send_response(302)
            self.send_header("Location", moves[self.path])
            self.end_headers()
            return
        self.send_response(200 if self.path in bodies else 404)
        self.send_header("Content-Type", "text/plain" if self.path == "/large" else "text/html; charset=utf-8")
        self.send_header("Last-Modified", "Mon, 01 Jan 2024 10:00:00 GMT")
        self.end_headers()
        self.wfile.write(bodies.get(self.path, "").encode())

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def read(url: str, web: WebOptions | None = OPEN) -> list[Document | BadDocument]:
    return list(open_documents(url, ReadOptions(web=web)))


def test_a_page(site: str) -> None:
    [page] = read(f"{site}/a#part")
    assert isinstance(page, Document)
    assert (page.id, page.title, page.text) == (f"{site}/a", "A page", "A page\n\nIts text.")
    assert page.metadata["modified"] == "2024-01-01T10:00:00+00:00"
    [moved] = read(f"{site}/moved")
    assert isinstance(moved, Document)
    assert moved.id == f"{site}/a"


def test_a_sitemap(site: str) -> None:
    page, private, missing = read(f"{site}/sitemap.xml")
    assert isinstance(page, Document)
    assert "robots.txt" in str(private)
    assert "the server answered 404" in str(missing)


def test_a_page_that_a_sitemap_lists_twice(site: str) -> None:
    assert [isinstance(item, Document) for item in read(f"{site}/twice.xml")] == [True]


def test_more_pages_than_are_fetched(site: str) -> None:
    """A source beyond the limit is an error, so that --sync deletes no document."""
    few = WebOptions(allow_private=True, delay_seconds=0.0, max_pages=2)
    page, bad = read(f"{site}/sitemap.xml", few)
    assert isinstance(page, Document)
    assert str(bad) == f"{site}/sitemap.xml: has more than 2 pages and sitemaps; index its parts"
    [bad] = read(f"{site}/endless", few)
    assert "has more than 2 pages" in str(bad)


@pytest.mark.parametrize(
    ("path", "web", "reason"),
    [
        ("/private/b", OPEN, "robots.txt"),
        ("/loop", OPEN, "redirects more than 5 times"),
        ("/away", OPEN, "the host 'example.invalid' is not allowed; add it with --web-host"),
        ("/inside", OPEN, "is not http or https"),
        ("/large", WebOptions(allow_private=True, page_bytes=1_000), "larger than 1,000 bytes"),
        ("/a", WebOptions(), "which is not a public address"),
    ],
)
def test_refusals(site: str, path: str, web: WebOptions, reason: str) -> None:
    [bad] = read(site + path, web)
    assert isinstance(bad, BadDocument)
    assert reason in str(bad)


def test_fetching_is_off_by_default(site: str) -> None:
    with pytest.raises(BadDocument, match="fetching is off; allow it with --web"):
        read(f"{site}/a", None)
