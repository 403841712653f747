"""The tools for agents, called by the SDK's own client over HTTP and standard input."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("mcp", reason="needs the package mcp")

import httpx2
import mcp
from mcp.client.streamable_http import streamable_http_client

from service.adapters.mcp_tools import MAX_OVERVIEWS, call_tool
from service.client import AsyncClient
from service.config.api_keys import add_key
from tests.service.conftest import Serve, Served

MODES = ("legacy", "2026-07-28")  # specifications with a handshake, and the one without
READS = ["search", "fetch", "list_collections", "explain"]
ATTENDEX = [sys.executable, "-m", "service", "mcp"]


@asynccontextmanager
async def agent(url: str, mode: str = "auto", key: str = "") -> AsyncIterator[mcp.Client]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30) as http,
        mcp.Client(streamable_http_client(f"{url}/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


def with_agent(
    url: str, use: Callable[[mcp.Client], Coroutine[Any, Any, Any]], mode: str = "auto", key: str = ""
) -> Any:
    """Return what `use` returns for a connected client."""

    async def run() -> Any:
        async with agent(url, mode, key) as client:
            return await use(client)

    return asyncio.run(run())


def call(url: str, tool: str, key: str = "", **arguments: Any) -> Any:
    return with_agent(url, lambda client: client.call_tool(tool, arguments), key=key)


def refusal(url: str, tool: str, key: str = "", **arguments: Any) -> str:
    async def use(client: mcp.Client) -> str:
        with pytest.raises(mcp.MCPError) as raised:
            await client.call_tool(tool, arguments)
        return str(raised.value)

    return str(with_agent(url, use, key=key))


@pytest.mark.parametrize("mode", MODES)
def test_the_tools_that_read_come_in_a_fixed_order_with_their_types(small: Served, mode: str) -> None:
    listed = with_agent(small.url, lambda client: client.list_tools(), mode)
    assert [tool.name for tool in listed.tools] == READS
    assert all(tool.annotations.read_only_hint and tool.output_schema for tool in listed.tools)
    search = listed.tools[0]
    assert "small: 5 documents; fields: year (number: 1953" in search.description
    assert search.input_schema["additionalProperties"] is False


@pytest.mark.parametrize("mode", MODES)
def test_an_agent_searches_reads_and_asks_why(small: Served, mode: str) -> None:
    async def use(client: mcp.Client) -> list[Any]:
        found = await client.call_tool("search", {"query": "how do cats sleep", "k": 2, "filter": "year > 1960"})
        first = found.structured_content["hits"][0]["id"]
        read = await client.call_tool("fetch", {"id": first, "collection": "small"})
        why = await client.call_tool("explain", {"query": "cats sleep", "id": first})
        return [found, read, why, await client.call_tool("list_collections", {})]

    answers = with_agent(small.url, use, mode)
    found, read, why, listed = (each.structured_content for each in answers)
    assert [json.loads(each.content[0].text) for each in answers] == [found, read, why, listed]
    assert found["hits"][0]["id"] == "cat/1"
    assert found["hits"][0]["metadata"] == {"year": 2020}
    assert (read["text"], read["next_start"]) == ("Cats sleep for most of the day and hunt at night.", None)
    assert {(each["query"], each["passage"]) for each in why["pairs"][:4]} >= {("cats", "Cats"), ("sleep", "sleep")}
    assert {each["term"] for each in why["terms"]} == {"cat", "sleep"}
    assert [each["name"] for each in listed["collections"]] == ["small"]


def test_pages_of_a_search_are_those_of_one_longer_search(small: Served) -> None:
    whole = call(small.url, "search", query="wings and cats", k=5).structured_content
    ids, offset = [], 0
    while offset is not None:
        page = call(small.url, "search", query="wings and cats", k=2, offset=offset).structured_content
        ids += [hit["id"] for hit in page["hits"]]
        offset = page["next_offset"]
    assert ids == [hit["id"] for hit in whole["hits"]]


def test_a_few_collections_at_a_time_are_asked_for_their_fields() -> None:
    names = [f"c{number:02}" for number in range(2 * MAX_OVERVIEWS)]
    all_asked, asked = asyncio.Barrier(MAX_OVERVIEWS), list[str]()

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/collections":
            listed = [{"name": name, "documents": 1, "passages": 1, "generation": 1, "encoder": "e"} for name in names]
            return httpx.Response(200, json={"collections": listed})
        asked.append(request.url.path)
        await all_asked.wait()  # for as many requests as there should be at a time
        dropped = request.url.path == "/v1/collections/c03/overview"
        field = {"name": "year", "type": "number", "documents": 1, "different": 1, "values": [], "least": 1, "most": 2}
        return httpx.Response(404 if dropped else 200, json={"fields": [field], "generations": []})

    async def run() -> Any:
        async with AsyncClient("http://test", transport=httpx.MockTransport(answer)) as client:
            return await asyncio.wait_for(call_tool(client, "list_collections", {}, may_write=False), 60)

    listed = asyncio.run(run()).structured_content["collections"]
    assert [each["name"] for each in listed] == [name for name in names if name != "c03"]
    assert listed[0]["fields"] == [{"name": "year", "type": "number", "values": ["1 to 2"]}]
    assert len(asked) == len(names)


@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("search", {}, "query: Field required"),
        ("search", {"query": "a", "limit": 3}, "limit: Extra inputs"),
        ("search", {"query": "a", "k": 1000}, "k: Input should be less than"),
        ("search", {"query": "a", "filter": "yaer = 3"}, "did you mean 'year'"),
        ("search", {"query": "a", "collection": "large"}, "404"),
        ("fetch", {"id": "nothing"}, "404"),
        ("explain", {"query": "a", "id": "nothing"}, "404"),
    ],
)
def test_a_mistake_is_an_answer_that_an_agent_can_read(
    small: Served, tool: str, arguments: dict[str, Any], says: str
) -> None:
    answer = call(small.url, tool, **arguments)
    assert answer.is_error
    assert says in answer.content[0].text


def test_an_unknown_tool_is_an_error_of_the_protocol(small: Served) -> None:
    assert "there is no tool 'drop'" in refusal(small.url, "drop")


def test_long_texts_are_read_in_bounded_parts(serve: Serve, tmp_path: Path) -> None:
    text = "".join(f"The wing number {number} lifts a little more. " for number in range(300)).strip()
    with serve(tmp_path, agents_write=True) as served:
        served.http.put("/v1/collections/wings", json={})
        added = call(
            served.url,
            "add_documents",
            documents=[{"id": "w", "text": text, "metadata": {"notes": "long " * 200, "year": 2020}}],
        )
        assert (added.structured_content["changed"], added.is_error) == (1, False)
        parts, start = list[str](), 0
        while start is not None:
            part = call(served.url, "fetch", id="w", start=start, max_tokens=1_000).structured_content
            parts.append(part["text"])
            start = part["next_start"]
        assert len(parts) > 2
        assert "".join(parts) == text
        hits = call(served.url, "search", query="a wing that lifts", max_tokens=100).structured_content["hits"]
        assert hits[0]["metadata"] == {"year": 2020}  # without the long field
        counted = served.http.post("/tokenize", json={"inputs": hits[0]["passages"][0]["text"]}).json()
        assert len(counted[0]) <= 100 + 2  # and the two special tokens
        assert call(served.url, "delete_documents", ids=["w"]).structured_content["changed"] == 1


def test_keys_and_roles_are_those_of_the_service(collections: Path, serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    reader, writer = (add_key(file, role, role, []) for role in ("read", "write"))
    elsewhere = add_key(file, "other", "read", ["other"])

    def names(key: str) -> list[str]:
        listed = with_agent(served.url, lambda client: client.list_tools(), key=key)
        return [tool.name for tool in listed.tools]

    with serve(collections, keys=file, agents_write=True) as served:
        assert httpx.post(f"{served.url}/mcp", json={}, timeout=120).status_code == 401
        assert names(reader) == READS
        assert names(writer) == [*READS, "add_documents", "delete_documents"]
        assert "no tool" in refusal(served.url, "delete_documents", reader, ids=["cat/1"])
        assert call(served.url, "list_collections", elsewhere).structured_content == {"collections": []}
        assert "404" in call(served.url, "search", elsewhere, query="a", collection="small").content[0].text


def test_other_methods_and_hosts_are_refused(small: Served) -> None:
    assert small.http.get("/mcp").status_code == 405
    assert small.http.post("/mcp", json={}, headers={"Host": "attacker.example"}).status_code == 421


@pytest.mark.parametrize("mode", [pytest.param(MODES[0], marks=pytest.mark.slow), MODES[1]])
def test_over_standard_input(collections: Path, mode: str) -> None:
    async def run() -> tuple[list[str], str]:
        command = mcp.StdioServerParameters(command=ATTENDEX[0], args=[*ATTENDEX[1:], str(collections / "small")])
        async with mcp.Client(command, mode=mode) as client:
            listed = await client.list_tools()
            found = await client.call_tool("search", {"query": "how do cats sleep", "k": 1})
            return [tool.name for tool in listed.tools], found.structured_content["hits"][0]["id"]

    assert asyncio.run(run()) == (READS, "cat/1")


SUITE = ["npm", "exec", "--yes", "--package=node@22", "--package=@modelcontextprotocol/conformance@0.2.0-alpha.12"]
SCENARIOS = {  # those that ask for no tool, prompt or resource of the suite's own
    "2025-11-25": ["server-initialize", "ping", "tools-list", "dns-rebinding-protection"],
    "2026-07-28": ["tools-list", "dns-rebinding-protection", "http-header-validation"],
}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm")
@pytest.mark.parametrize(
    ("version", "scenario"), [(version, each) for version, scenarios in SCENARIOS.items() for each in scenarios]
)
def test_the_conformance_suite_passes(small: Served, tmp_path: Path, version: str, scenario: str) -> None:
    command = [*SUITE, "--", "conformance", "server", "--url", f"{small.url}/mcp", "--scenario", scenario]
    ended = subprocess.run(
        [*command, "--spec-version", version], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    if "npm error" in ended.stderr:
        pytest.skip("the suite cannot be installed here")
    assert re.search(r"Passed: (\d+)/\1, 0 failed", ended.stdout), ended.stdout[-3_000:]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm")
def test_the_inspector_lists_and_calls_the_tools(small: Served, tmp_path: Path) -> None:
    inspector = ["npm", "exec", "--yes", "--package=node@22", "--package=@modelcontextprotocol/inspector@0.15.0"]
    command = [*inspector, "--", "mcp-inspector-cli", f"{small.url}/mcp", "--cli", "--transport", "http"]
    for options, shown in (
        (["--method", "tools/list"], "list_collections"),
        (["--method", "tools/call", "--tool-name", "search", "--tool-arg", "query=how do cats sleep"], "cat/1"),
    ):
        ended = subprocess.run(
            [*command, *options], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
        )
        if "npm error" in ended.stderr:
            pytest.skip("the inspector cannot be installed here")
        assert shown in ended.stdout, ended.stdout[-2_000:] + ended.stderr[-2_000:]
