"""Hostile servers: a page that cannot be fetched fails alone, with its reason and in time."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.building.source_reading import BuildTally, read_documents
from indexer.readers.base.options import ReadOptions, WebOptions
from indexer.sources.robots import parse_robots
from indexer.sources.sitemap import read_sitemap
from indexer.sources.source import FoundFile
from indexer.sources.web import parse_url
from indexer.sources.website import MAX_TIMEOUTS, WebSource
from retrieval.errors import BadDocument

PAGE = b"<!doctype html><html><head><title>A page</title></head><body><p>Its text.</p></body></html>"
UNEXPECTED = "damaged or unreadable"  # the reason of an exception that no code expects


def _locations(body: bytes) -> list[str] | None:
    sitemap = read_sitemap(body, 10)
    return None if sitemap is None else sitemap.locations


def response(body: bytes, *headers: str | bytes, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return b"\r\n".join([line.encode() if isinstance(line, str) else line for line in lines]) + b"\r\n\r\n" + body


def moved(location: bytes) -> bytes:
    return response(b"", b"Location: " + location, status="302 Found")


def sitemap(*locations: str) -> bytes:
    return f"<urlset>{''.join(f'<url><loc>{location}</loc></url>' for location in locations)}</urlset>".encode()


class HostileSite:
    """A server that sends the given bytes for a path, or calls the given function with the connection."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes | Callable[[socket.socket], None]] = {}
        self.requests: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.base = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._socket.accept()[0],), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while True:
                request = b""
                while not request.endswith(b"\r\n\r\n"):
                    if not (part := connection.recv(4096)):
                        return None
                    request += part
                path = request.split(b" ")[1].decode()
                self.requests.append(path)
                answer = self.answers.get(path, response(b"", status="404 Not Found"))
                if callable(answer):
                    return answer(connection)
                connection.sendall(answer)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # else the thread accepts for a later socket of the same number
        self._socket.close()


@pytest.fixture
def site() -> Iterator[HostileSite]:
    hostile = HostileSite()
    hostile.answers["/a"] = response(PAGE, "Content-Type: text/html")
    yield hostile
    hostile.close()


def fetch(site: HostileSite, path: str, folder: Path, **options: object) -> list[FoundFile]:
    web = WebOptions(**{"allow_private": True, "delay_seconds": 0.0, **options})  # type: ignore[arg-type]
    with WebSource(web, site.base) as session:
        return list(session.pages(site.base + path, folder))


def only_reason(found: list[FoundFile]) -> str:
    [page] = found
    assert UNEXPECTED not in page.failed
    return page.failed


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        (b"http://[", "is not a usable URL"),
        (b"http://127.0.0.1:99999999/", "no valid host and port"),
        (b"http://127.0.0.1:0/", "no valid host and port"),
        (b"http://127.0.0.1:x/", "is not a usable URL"),
        (b"http://127.0.0.1:22/", "port 22 of '127.0.0.1' is not allowed"),
        (b"http://\xe2\x92\x88com/", "is not a usable URL"),
        (b"http://\xff\xfe/", "is not allowed"),
        (b"http://user:password@127.0.0.1/", "has a user name"),
        (b"http://127.0.0.1\\@evil.example/", "the URL has a user name"),
        (b"gopher://127.0.0.1/", "is not http or https"),
        (b"//evil.example/", "the host 'evil.example' is not allowed"),
        (b"", "it is empty"),
        (b"/" + b"a" * 9_000, "longer than 8,000 characters"),
    ],
)
def test_redirects_to_odd_addresses(site: HostileSite, tmp_path: Path, location: bytes, reason: str) -> None:
    site.answers["/go"] = moved(location)
    assert reason in only_reason(fetch(site, "/go", tmp_path))


def test_a_redirect_is_followed_as_browsers_do(site: HostileSite, tmp_path: Path) -> None:
    """A Location in UTF-8 and relative to the page."""
    site.answers |= {"/b/go": moved("ä b?q=ü".encode()), "/b/%C3%A4%20b?q=%C3%BC": site.answers["/a"]}
    [page] = fetch(site, "/b/go", tmp_path)
    assert (page.failed, page.origin.name) == ("", f"{site.base}/b/%C3%A4%20b?q=%C3%BC")


def test_one_odd_location_of_a_sitemap(site: HostileSite, tmp_path: Path) -> None:
    """Each bad location fails alone; a location that is not ASCII is fetched."""
    bad = ["http://[", "file:///etc/passwd", f"{site.base}/{'x' * 100_000}", f"{site.base}/&#10;", "/relative"]
    site.answers |= {"/sitemap.xml": response(sitemap(*bad, f"{site.base}/ä")), "/%C3%A4": site.answers["/a"]}
    found = fetch(site, "/sitemap.xml", tmp_path)
    assert [bool(page.failed) for page in found] == [True] * 5 + [False]
    assert all(UNEXPECTED not in page.failed and len(page.failed) < 1_000 for page in found)
    assert max(len(page.origin.name) for page in found) < 9_000


@pytest.mark.parametrize("coding", [[], ["Content-Encoding: gzip"]])
def test_a_compressed_sitemap(site: HostileSite, tmp_path: Path, coding: list[str]) -> None:
    site.answers["/sitemap.xml.gz"] = response(gzip.compress(sitemap(f"{site.base}/a")), *coding)
    [page] = fetch(site, "/sitemap.xml.gz", tmp_path)
    assert page.origin.name == f"{site.base}/a"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (response(gzip.compress(bytes(64 << 20)), "Content-Encoding: gzip"), "larger than 1,000,000 bytes"),
        (response(b"abc", "Content-Encoding: gzip, br"), "the content coding 'gzip, br', which was not asked for"),
        (response(gzip.compress(PAGE)[:-9], "Content-Encoding: gzip"), "damaged compressed data"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "cannot be fetched"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n", "cannot be fetched"),
        (b"HTTP/9.9 \xff\r\n\r\n", "cannot be fetched"),
        (b"\0" * 200_000, "cannot be fetched"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n", "cannot be fetched"),
        (response(bytes(2_000_000)), "larger than 1,000,000 bytes"),
    ],
)
def test_odd_responses(site: HostileSite, tmp_path: Path, answer: bytes, reason: str) -> None:
    def send_and_close(connection: socket.socket) -> None:
        connection.sendall(answer)

    site.answers["/odd"] = send_and_close
    assert reason in only_reason(fetch(site, "/odd", tmp_path, page_bytes=1_000_000))


@pytest.mark.parametrize(
    "headers",
    [
        ["Last-Modified: Fri, 31 Dec 9999 23:59:59 -2359"],
        ["Last-Modified: Mon, 01 Jan 0001 00:00:00 GMT"],
        ["Last-Modified: x", b"Content-Type: text/html; charset=\xff\xfe"],
        [b"Content-Type: \xff\xfe"],
    ],
)
def test_odd_headers_of_a_page_that_can_be_read(site: HostileSite, tmp_path: Path, headers: list[str | bytes]) -> None:
    site.answers["/page"] = response(PAGE, *headers)
    [page] = fetch(site, "/page", tmp_path)
    assert not page.failed
    assert page.path.read_bytes() == PAGE


def dripping(start: bytes, repeated: bytes) -> Callable[[socket.socket], None]:
    """Send bytes one by one until the client closes the connection."""

    def drip(connection: socket.socket) -> None:
        connection.settimeout(0.02)
        connection.sendall(start)
        while True:
            connection.sendall(repeated)
            with contextlib.suppress(TimeoutError):
                if not connection.recv(1):
                    return

    return drip


DRIPS = {
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X-a: b\r\n"),
    "early hints": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "body": (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "silence": (b"", b""),
}


@pytest.mark.parametrize("kind", DRIPS)
@pytest.mark.parametrize("path", ["/page", "/robots.txt"])
def test_a_server_that_sends_slowly(site: HostileSite, tmp_path: Path, kind: str, path: str) -> None:
    """The deadline bounds the whole fetch, also that of robots.txt."""
    site.answers[path] = dripping(*DRIPS[kind])
    assert "took longer than 0.3 s" in only_reason(fetch(site, "/page", tmp_path, page_seconds=0.3))


def test_slow_redirects_share_one_deadline(site: HostileSite, tmp_path: Path) -> None:
    """Each response comes in time, and all together do not."""

    def late(connection: socket.socket) -> None:
        connection.settimeout(0.25)
        with contextlib.suppress(TimeoutError):
            connection.recv(1)
        connection.sendall(moved(b"/go"))

    site.answers["/go"] = late
    assert "took longer than 0.4 s" in only_reason(fetch(site, "/go", tmp_path, page_seconds=0.4))


def test_a_host_that_is_always_slow_is_given_up(site: HostileSite, tmp_path: Path) -> None:
    locations = [f"{site.base}/slow{number}" for number in range(3 * MAX_TIMEOUTS)]
    site.answers |= {path.removeprefix(site.base): dripping(*DRIPS["silence"]) for path in locations}
    site.answers["/sitemap.xml"] = response(sitemap(*locations))
    found = fetch(site, "/sitemap.xml", tmp_path, page_seconds=0.2)
    assert ["took longer" in page.failed for page in found] == [True] * MAX_TIMEOUTS + [False] * 2 * MAX_TIMEOUTS
    assert found[-1].failed == "not fetched: the 5 pages before it took too long"
    assert len([path for path in site.requests if path.startswith("/slow")]) == MAX_TIMEOUTS


def test_a_robots_file_that_fails_is_fetched_once(site: HostileSite, tmp_path: Path) -> None:
    site.answers["/robots.txt"] = lambda connection: connection.sendall(b"nonsense\r\n\r\n")
    with WebSource(WebOptions(allow_private=True), site.base) as session:
        for page in ("/a", "/b"):
            assert "robots.txt cannot be read" in only_reason(list(session.pages(site.base + page, tmp_path)))
    assert site.requests == ["/robots.txt"]


def test_a_moved_robots_file(site: HostileSite, tmp_path: Path) -> None:
    site.answers |= {"/robots.txt": moved(b"/rules"), "/rules": response(b"User-agent: *\nDisallow: /a")}
    assert only_reason(fetch(site, "/a", tmp_path)) == "refused by the host's robots.txt"


def test_a_bad_page_of_a_sitemap_does_not_end_the_run(site: HostileSite) -> None:
    """Neither does one with a bad line, nor a sitemap with more pages than are fetched."""
    site.answers |= {
        "/sitemap.xml": response(sitemap(*(f"{site.base}/{name}" for name in ("lines", "none", "a", "b")))),
        "/lines": response(b'{"_id": "1", "text": "x"}\nnot JSON\n', "Content-Type: application/x-ndjson"),
    }
    tally = BuildTally()
    options = ReadOptions(web=WebOptions(allow_private=True, delay_seconds=0.0, max_pages=4))
    sources = [f"{site.base}/sitemap.xml"]
    read = list(read_documents(sources, options, tally, lambda _outcome: None, skip_bad=False))
    assert [document.id for document in read] == ["1", f"{site.base}/a"]
    assert [problem.removeprefix(site.base)[:12] for problem in tally.problems] == [
        "/lines:2: no",
        "/none: the s",
        "/sitemap.xml",
    ]
    with pytest.raises(BadDocument, match="answered 404"):
        list(read_documents([f"{site.base}/none"], options, tally, lambda _outcome: None, skip_bad=False))


# --- robots.txt


@pytest.mark.parametrize(
    "text",
    [
        "User-agent: *\nCrawl-delay: ²",
        "User-agent: *\nCrawl-delay: nan",
        "User-agent: *\nCrawl-delay: -1",
        f"User-agent: *\nCrawl-delay: {'9' * 5_000}",
        "User-agent: *\nRequest-rate: ²/1",
        "User-agent: *\nDisallow: http://[x/",
    ],
)
def test_odd_lines_of_robots_files_mean_nothing(text: str) -> None:
    rules = parse_robots(f"{text}\nDisallow: /private", "attendex")
    assert rules.delay_seconds is None
    assert (rules.allows("/a"), rules.allows("/private/b")) == (True, False)


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/fish", "/fish.html", True),
        ("/fish", "/Fish", False),
        ("/fish*.php", "/fishy/x.php?a=1", True),
        ("/*.php$", "/a.php", True),
        ("/*.php$", "/a.php?x", False),
        ("/a*b*b$", "/ab", False),
        ("/a*b*b$", "/abb", True),
        ("/a$", "/ab", False),
        ("*", "/anything", True),
        ("/ä", "/%c3%a4/x", True),
        ("/%7Ejoe", "/~joe", True),
        ("", "/a", False),
    ],
)
def test_patterns_of_robots_files(pattern: str, path: str, matches: bool) -> None:
    """The examples are those of RFC 9309 and of the search engines that follow it."""
    assert parse_robots(f"User-agent: *\nDisallow: {pattern}", "attendex").allows(path) is not matches


def test_the_longest_pattern_of_the_own_group_decides() -> None:
    text = "\ufeffUser-agent: a\nUser-Agent: Attendex/1.0\nDisallow: /\nAllow: /b\nCrawl-delay: 1.5 # s\n\n"
    rules = parse_robots(text.lstrip("\ufeff") + "User-agent: *\nDisallow: /b", "attendex")
    assert (rules.allows("/b/c"), rules.allows("/c"), rules.delay_seconds) == (True, False, 1.5)
    assert not parse_robots("User-agent: other\nAllow: /\nUser-agent: *\nDisallow: /b", "attendex").allows("/b")


LINES = st.tuples(
    st.sampled_from(["User-agent", "user-agent ", "Disallow", "Allow", "Crawl-delay", "Sitemap", "", "é"]),
    st.sampled_from([":", " : ", "", "::", "#"]),
    st.text(max_size=12) | st.sampled_from(["*", "attendex", "/*a*$", "1e9", "/%"]),
).map("".join)


@given(st.lists(LINES, max_size=12).map("\n".join), st.text(max_size=20))
def test_any_robots_file_can_be_read(text: str, path: str) -> None:
    rules = parse_robots(text, "attendex")
    rules.allows(path)
    assert rules.delay_seconds is None or 0 <= rules.delay_seconds < 1e10


# --- sitemaps and addresses


def test_locations_of_images_are_no_pages() -> None:
    images = 'xmlns:i="http://www.google.com/schemas/sitemap-image/1.1"'
    body = f'<urlset xmlns="http://s" {images}><url><loc> http://h/a </loc><i:loc>http://h/b.png</i:loc></url></urlset>'
    assert _locations(b"\n " + body.encode()) == ["http://h/a"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("name", ["urlset", "x"])
def test_a_sitemap_that_declares_entities(encoding: str, name: str) -> None:
    """Also where the declaration is not in ASCII bytes."""
    bomb = "".join(f'<!ENTITY e{number} "{f"&e{number - 1};" * 10}">' for number in range(1, 12))
    body = f'<!DOCTYPE {name} [<!ENTITY e0 "x">{bomb}]><urlset><url><loc>&e11;</loc></url></urlset>'.encode(encoding)
    with contextlib.suppress(BadDocument):
        assert _locations(body) is None


@pytest.mark.parametrize(
    "body",
    [
        b"<urlset><url><loc>http://h/a</loc>",
        b'<?xml version="1.0" encoding="no-such"?><urlset></urlset>',
        b"<urlset>" + b"<url>" * 200_000,
    ],
)
def test_damaged_sitemaps(body: bytes) -> None:
    with contextlib.suppress(BadDocument):
        assert _locations(body) is None


def test_many_locations_are_read_in_bounds() -> None:
    body = b"<urlset>" + b"<url><loc>http://h/a</loc></url>" * 1_000_000 + b"</urlset>"
    found = _locations(body)
    assert found is not None
    assert 10 < len(found) < 100_000


@given(
    st.binary(max_size=200)
    | st.lists(st.sampled_from(["<urlset>", "<loc>", "</loc>", "&", "a", "<!--"])).map(
        lambda parts: "".join(parts).encode()
    )
)
def test_any_bytes_are_a_sitemap_or_another_page(body: bytes) -> None:
    with contextlib.suppress(BadDocument):
        found = _locations(body)
        assert found is None or all(isinstance(location, str) for location in found)


@given(st.text(max_size=60) | st.text("htps:/[]@\\.0%#?äx ", max_size=40).map("http://".__add__))
def test_any_text_is_a_usable_address_or_a_bad_one(text: str) -> None:
    with contextlib.suppress(BadDocument):
        url = parse_url(text)
        assert url.scheme in ("http", "https")
        assert str(url).isascii()
        assert parse_url(str(url)) == url


HEADERS = st.lists(
    st.sampled_from(
        [
            *(b"Location: ", b"Content-Type: ", b"Content-Encoding: ", b"Transfer-Encoding: chunked", b"gzip", b"/a"),
            *(b"Last-Modified: ", b"\r\n", b":", b"Content-Length: ", b"9", b"-", b"\xff", b"\0", b"http://[", b";"),
        ]
    )
    | st.binary(max_size=6),
    max_size=12,
).map(b"".join)


@given(st.sampled_from([b"200 OK", b"302 Found", b"100 Continue", b"999", b"\xff"]), HEADERS, st.binary(max_size=20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_any_response_is_a_page_or_a_reason(
    site: HostileSite, tmp_path: Path, status: bytes, headers: bytes, body: bytes
) -> None:
    answer = b"HTTP/1.1 " + status + b"\r\n" + headers + b"\r\n\r\n" + body
    site.answers["/any"] = lambda connection: connection.sendall(answer)
    found = fetch(site, "/any", tmp_path, page_seconds=5.0)
    assert all(UNEXPECTED not in page.failed for page in found)
