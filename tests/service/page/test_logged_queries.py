"""The query log on the page: what it gets, and where it is shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service.conftest import eventually


@pytest.fixture(scope="module")
def logged(serve: Any, library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve(library, **{"query_log.folder": tmp_path_factory.mktemp("log")}) as served:
        yield served.url


def test_the_page_logs_queries_and_clicks_and_lists_what_finds_nothing(visit: Any, logged: str) -> None:
    def found() -> dict[str, Any]:
        answer: dict[str, Any] = httpx.get(f"{logged}/v1/collections/strings/queries", timeout=120).json()
        return answer

    page = visit(f"{logged}/?c=strings&q=")
    page.fill("#q", "remove space")
    page.wait_for_selector(".hit")
    page.click(".hit .title >> nth=0")
    eventually(lambda: found()["clicks"])
    assert [(each["query"], each["searches"]) for each in found()["queries"]] == [("remove space", 1)]
    search = {"query": "<b>join</b>", "filter": "module = 'none'"}
    httpx.post(f"{logged}/v1/collections/strings/search", json=search, timeout=120)
    eventually(lambda: found()["zero_hits"])
    page = visit(f"{logged}/collection?c=strings")
    page.wait_for_selector(".logged td")
    assert "<b>join</b>" in page.inner_text(".logged table")
    page.click(".logged td a")
    page.wait_for_selector(".hit")
    assert page.input_value("#q") == "<b>join</b>"
