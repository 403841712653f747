"""DNS rebinding: pages of other sites must not reach the service under names of their own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.config.settings import load_settings
from service.http.allowed_hosts import AllowedHosts
from tests.service.conftest import Serve, Served
from tests.service.test_routes import SEARCH, problem

KEY = "key-of-many-characters"
LOCAL = ("localhost", "LOCALHOST:8080", "localhost.", "127.0.0.1:8080", "127.1.2.3", "[::1]:8080", "a.localhost")
FOREIGN = (
    "example.org",
    "rebound.example:8080",
    "localhost.example.org",
    "127.0.0.1.example.org",
    "127.0.0.1.nip.io",
    "localhost:80@example.org",
    "localhost, example.org",
    "notlocalhost",
    "http://localhost",
    "localhost/",
    "",
    ":8080",
    "[::1",
    "2130706433.example",
)


@pytest.mark.parametrize(
    ("flags", "allowed", "refused"),
    [
        ({}, LOCAL, (*FOREIGN, "192.0.2.1", "0.0.0.0", "attendex")),
        ({"api_key": KEY}, LOCAL, (*FOREIGN, "192.0.2.1")),
        ({"host": "::1"}, LOCAL, FOREIGN),
        ({"hosts": ["Search.Example"]}, (*LOCAL, "search.example:443"), (*FOREIGN, "x.search.example")),
        ({"host": "0.0.0.0", "insecure": True}, (*LOCAL, "192.0.2.1:8080", "[2001:db8::1]"), (*FOREIGN, "attendex")),
        ({"host": "0.0.0.0", "insecure": True, "hosts": ["attendex"]}, (*LOCAL, "attendex", "192.0.2.1"), FOREIGN),
        ({"host": "0.0.0.0", "api_key": KEY}, (*LOCAL, "example.org", "attendex:8080", "192.0.2.1"), ("", "a b")),
        ({"host": "0.0.0.0", "api_key": KEY, "hosts": ["a.example"]}, (*LOCAL, "a.example", "192.0.2.1"), FOREIGN),
    ],
    ids=str,
)
def test_hosts_follow_from_the_settings(
    flags: dict[str, Any], allowed: tuple[str, ...], refused: tuple[str, ...]
) -> None:
    hosts = AllowedHosts(load_settings(flags))
    assert [host for host in allowed if host not in hosts] == []
    assert [host for host in refused if host in hosts] == []


@pytest.fixture
def own(collections: Path, serve: Serve, tmp_path: Path) -> Iterator[Served]:
    """Yield a service whose collection a test may change."""
    shutil.copytree(collections, tmp_path / "collections")
    with serve(tmp_path / "collections") as served:
        yield served


def test_a_rebound_name_reads_and_deletes_nothing(own: Served) -> None:
    rebound = {"host": "rebound.example:8080"}
    for method, path, body in (
        ("DELETE", "/v1/collections/small", None),
        ("PUT", "/v1/collections/other", {}),
        ("POST", "/v1/collections/small/documents/delete", {"ids": ["heat"]}),
        ("POST", SEARCH, {"query": "cats"}),
        ("GET", "/v1/collections", None),
        ("GET", "/metrics", None),
    ):
        refused = own.http.request(method, path, json=body, headers=rebound)
        problem(refused, 421, "other_host")
        assert "rebound.example" in refused.json()["detail"]
    assert own.http.get("/", headers=rebound).status_code == 421
    assert own.http.get("/v1/collections/small").json()["documents"] == 5
    assert [each["name"] for each in own.http.get("/v1/collections").json()["collections"]] == ["small"]


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_request_that_any_page_may_send_changes_nothing(own: Served, kind: str | None) -> None:
    """A browser sends these content types to other origins without asking the service first."""
    headers = {"origin": "https://example.org"} | ({"content-type": kind} if kind else {})
    for path, body in (
        ("/v1/collections/small/documents?wait=true", b'{"documents": [{"id": "x", "text": "y"}]}'),
        ("/v1/collections/small/documents/delete?wait=true", b'{"ids": ["heat"]}'),
    ):
        request = httpx.Request("POST", own.url + path, content=body, headers=headers)
        assert own.http.send(request).status_code == 422
    assert own.http.get("/v1/collections/small").json()["generation"] == 1
