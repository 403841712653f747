"""Answers on the page: offered only where they are switched on, with citations that open the passage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.service.model_stub import END, ModelStub, piece, running_stub


@pytest.fixture(scope="module")
def model() -> Iterator[ModelStub]:
    with running_stub() as stub:
        yield stub


@pytest.fixture(scope="module")
def answering(serve: Any, library: Path, model: ModelStub) -> Iterator[str]:
    with serve(library, **{"answer.page": True, "answer.url": model.url, "answer.model": "stub"}) as served:
        yield served.url


def test_an_answer_cites_passages_that_open(visit: Any, answering: str, model: ModelStub) -> None:
    model.answer = lambda exchange: exchange.stream(
        piece("Return a copy of the string with trailing whitespace removed [1]. It has 77 bugs [1]."), END
    )
    page = visit(f"{answering}/?c=strings&q=copy of the string with trailing whitespace removed")
    page.click(".answer button")
    page.wait_for_selector(".answer .unsupported")
    assert "Return a copy of the string with trailing whitespace removed. [" in page.inner_text(".answer")
    assert "It has 77 bugs. (no passage supports this)" in page.inner_text(".answer")
    page.click(".answer .cite")
    page.wait_for_selector("dialog mark.best-passage, dialog .text")
    assert "whitespace" in page.inner_text("dialog .text")


def test_a_failure_of_the_model_is_told(visit: Any, answering: str, model: ModelStub) -> None:
    model.answer = lambda exchange: exchange.whole(500, {})
    page = visit(f"{answering}/?c=strings&q=trailing whitespace", expect_trouble=True)
    page.click(".answer button")
    page.wait_for_selector(".answer .warn")
    assert "the model failed; it answered 500" in page.inner_text(".answer")


def test_without_the_setting_the_page_offers_no_answer(visit: Any, site: str) -> None:
    page = visit(f"{site}/?c=strings&q=trailing whitespace")
    page.wait_for_selector(".hit")
    assert not page.is_visible(".answer")
