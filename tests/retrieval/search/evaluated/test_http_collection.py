"""Searches of a running service, and answers of other servers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from retrieval.errors import InputError, RemoteError
from retrieval.search.evaluated.http_collection import open_remote
from retrieval.types import SearchRequest

DETAILS = {
    "name": "my papers",
    "generation": 3,
    "documents": 2,
    "fingerprint": {
        "name": "model",
        "weights_sha256": "w",
        "tokenizer_sha256": "t",
        "pooling": "mean",
        "normalize": True,
        "query_prompt": "",
        "passage_prompt": "",
        "max_tokens": 256,
        "dimension": 384,
    },
}


@contextmanager
def answering(details: str, results: str = "") -> Iterator[tuple[str, list[str]]]:
    """Run a server with fixed answers; yield its address and the requested paths."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(details)

        def do_POST(self) -> None:
            self._answer(results)

        def _answer(self, text: str) -> None:
            paths.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", paths
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("name", ["my%20papers", "my papers"])
def test_a_name_is_quoted_once(name: str) -> None:
    with answering(json.dumps(DETAILS)) as (url, paths), open_remote(f"{url}/{name}") as remote:
        assert (remote.collection, remote.generation, remote.encoder.dimension) == ("my papers", 3, 384)
    assert paths == ["/v1/collections/my%20papers"]


@pytest.mark.parametrize("details", ["<html>", "[]", "null", "{}", '{"name": "a", "generation": "x"}', '"text"'])
def test_the_answer_of_something_else_is_refused(details: str) -> None:
    with (
        answering(details) as (url, _),
        pytest.raises(RemoteError, match=r"127.0.0.1.*not one of an Attendex service"),
        open_remote(f"{url}/papers"),
    ):
        pass


@pytest.mark.parametrize("results", ["<html>", "[]", '{"results": [{}]}', '{"results": 3}'])
def test_strange_results_are_refused(results: str) -> None:
    with (
        answering(json.dumps(DETAILS), results) as (url, _),
        open_remote(f"{url}/papers") as remote,
        pytest.raises(RemoteError, match="not one of an Attendex service"),
    ):
        remote.answer([SearchRequest("a query")])


@pytest.mark.parametrize("url", ["http://[::1/papers", "http://host:abc/papers", "http://ho\tst\0/papers"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(RemoteError, match="is not an address"), open_remote(url):
        pass


@pytest.mark.parametrize("rest", ["/", "", "/papers?k=3", "/papers#top"])
def test_a_url_must_name_a_collection_and_nothing_else(rest: str) -> None:
    with pytest.raises(InputError, match="names no collection"), open_remote(f"http://host:8080{rest}"):
        pass
