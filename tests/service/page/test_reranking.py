"""Reranking on the page: offered where the service has a model, with the parts of the new score."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.retrieval.encoder.late_models import save_stanford_model


@pytest.fixture(scope="module")
def reranking(serve: Any, library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    model = save_stanford_model(tmp_path_factory.mktemp("late") / "colbert")
    log = tmp_path_factory.mktemp("log")
    with serve(library, **{"rerankers": [str(model)], "query_log.folder": log}) as served:
        yield served.url


def test_a_reranked_hit_has_the_words_of_late_interaction(visit: Any, reranking: str) -> None:
    page = visit(f"{reranking}/?c=strings&q=remove trailing whitespace")
    page.wait_for_selector(".hit")
    page.click("text=Rerank")
    page.wait_for_function("() => location.search.includes('rerank=yes')")
    page.wait_for_selector("[aria-busy]", state="detached")
    page.click(".hit .why-button >> nth=0")
    page.click(".why [role=tab]:has-text('Reranking')")
    page.wait_for_selector(".why table.heat")
    shown = page.inner_text(".why [role=tabpanel]")
    assert "by colbert, whose score is" in shown
    assert "add up to the score of the late interaction exactly" in shown
    total, first, second = re.findall(r"-?[\d.]+(?= =| \()", shown)[:3]
    assert float(total) == pytest.approx(float(first) + float(second), abs=0.0021)  # three decimals of each


def test_a_reranked_search_is_logged_without_a_second_one(visit: Any, reranking: str) -> None:
    page = visit(f"{reranking}/?c=strings&q=")
    reranked: list[dict[str, Any]] = []

    def note(request: Any) -> None:
        if request.url.endswith("/search") and request.post_data_json.get("rerank") is not None:
            reranked.append(request.post_data_json)

    page.on("request", note)
    page.goto(f"{reranking}/?c=strings&q=join many strings&rerank=yes")
    page.wait_for_selector(".hit")
    with page.expect_request(re.compile("/events$")):
        page.click(".hit .title >> nth=0")
    assert [each["log"] for each in reranked] == [True]
    found = httpx.get(f"{reranking}/v1/collections/strings/queries", timeout=120).json()["queries"]
    assert [each["searches"] for each in found if each["query"] == "join many strings"] == [1]


def test_reranking_is_offered_only_where_it_acts(visit: Any, reranking: str, site: str) -> None:
    page = visit(f"{reranking}/?c=python&q=bread&sort=module&rerank=yes")
    page.wait_for_selector(".hit")
    assert not page.is_visible("text=Rerank")
    page = visit(f"{site}/?c=strings&q=bread&rerank=yes")
    page.wait_for_selector(".hit")
    assert not page.is_visible("text=Rerank")
