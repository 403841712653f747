"""Requests through a reverse proxy: whose limits count, and where the service is."""

from __future__ import annotations

import io
import json
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from service.cli import app
from service.openapi import SERVERS
from tests.service.conftest import Serve
from tests.service.reverse_proxy import reverse_proxy
from tests.service.test_operations import log as log
from tests.service.test_routes import SEARCH

KEY = "key-of-many-characters"


def test_limits_and_logs_name_the_caller_behind_the_proxy(collections: Path, serve: Serve, log: io.StringIO) -> None:
    flags = {"api_key": KEY, "rate.failures": "2/hour", "trusted_proxies": ["127.0.0.0/8"], "log.requests": True}
    with (
        serve(collections, **flags) as served,
        reverse_proxy(served.url, "/search") as url,
        httpx.Client(timeout=120) as http,
    ):

        def status(address: str, key: str) -> int:
            headers = {"x-forwarded-for": address, "x-api-key": key}
            return http.get(f"{url}/v1/models", headers=headers).status_code

        guesses = [status("203.0.113.7", f"wrong {number}") for number in range(4)]
        assert guesses == [401, 401, 429, 429]
        assert status("203.0.113.7", KEY) == 429
        assert status("203.0.113.8", KEY) == 200
        assert status("192.0.2.9, 203.0.113.7", KEY) == 429  # a client may write anything before its own address
        assert status("2001:db8::1", "wrong") == status("2001:db8::2", "wrong") == 401
        assert status("2001:db8::3", KEY) == 429
    addresses = {json.loads(line).get("address") for line in log.getvalue().splitlines()}
    assert addresses >= {"203.0.113.7", "203.0.113.8", "2001:db8::3"}
    assert "192.0.2.9" not in addresses


def test_headers_of_other_peers_are_ignored(collections: Path, serve: Serve) -> None:
    flags = {"api_key": KEY, "rate.failures": "2/hour", "trusted_proxies": ["192.0.2.1"]}
    with serve(collections, **flags) as served:
        for number, expected in enumerate((401, 401, 429)):
            headers = {"x-forwarded-for": f"203.0.113.{number}", "x-api-key": "wrong"}
            assert served.http.get("/v1/models", headers=headers).status_code == expected
        document = served.http.get("/openapi.json", headers={"x-forwarded-prefix": "/elsewhere"}).json()
        assert document["servers"] == SERVERS


def test_the_description_names_the_path_of_the_proxy(collections: Path, serve: Serve) -> None:
    with serve(collections, trusted_proxies=["127.0.0.1"]) as served:
        for prefix in ("/search", "/v1", "/tools/search"):
            with reverse_proxy(served.url, prefix) as url:
                document = httpx.get(f"{url}/openapi.json", timeout=120).json()
                assert document["servers"][0] == {"url": prefix}
                base = httpx.URL(url).join(document["servers"][0]["url"])
                found = httpx.post(f"{base}{SEARCH}", json={"query": "cats"}, timeout=30)
                assert found.json()["hits"][0]["id"] == "cat/1"
        assert served.http.get("/openapi.json").json()["servers"] == SERVERS
        for wrong in ("search", "//example.org", "/a b", "https://example.org", "/<x>", ""):
            document = served.http.get("/openapi.json", headers={"x-forwarded-prefix": wrong}).json()
            assert document["servers"] == SERVERS


def test_a_proxy_has_as_many_connections_as_it_needs(collections: Path, serve: Serve) -> None:
    limits = {"limits.connections_per_address": 2}
    for proxies, connections in ((["127.0.0.1"], 7), ([], 2)):
        with serve(collections, trusted_proxies=proxies, **limits) as served:
            clients = [httpx.Client(base_url=served.url, timeout=120) for _ in range(7)]
            assert all(client.get("/livez").status_code == 200 for client in clients)
            assert len(served.server.server_state.connections) == connections
            for client in clients:
                client.close()


@pytest.mark.parametrize("wrong", ["nginx", "10.0.0.0/33", "10.0.0.1/8"])
def test_a_wrong_proxy_is_named_at_start(wrong: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["serve", str(tmp_path), "--set", f'trusted_proxies=["{wrong}"]'])
    assert done.exit_code == 1
    assert "trusted_proxies" in done.stderr
