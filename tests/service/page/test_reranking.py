"""Reranking on the page: offered where the service has a model, with the parts of the new score."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.retrieval.encoder.late_models import save_stanford_model


@pytest.fixture(scope="module")
def reranking(serve: Any, library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    model = save_stanford_model(tmp_path_factory.mktemp("late") / "colbert")
    with serve(library, rerankers=[str(model)]) as served:
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


def test_reranking_is_offered_only_where_it_acts(visit: Any, reranking: str, site: str) -> None:
    page = visit(f"{reranking}/?c=python&q=bread&sort=module&rerank=yes")
    page.wait_for_selector(".hit")
    assert not page.is_visible("text=Rerank")
    page = visit(f"{site}/?c=strings&q=bread&rerank=yes")
    page.wait_for_selector(".hit")
    assert not page.is_visible("text=Rerank")
