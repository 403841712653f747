"""Pins and synonyms of a collection on the search page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from indexer.maintenance.change_settings import SettingsChange, change_settings
from retrieval.index.storage.pins import PinRule
from retrieval.index.storage.synonyms import SynonymRule


@pytest.fixture(scope="module")
def ruled(serve: Any, library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a service whose collection `strings` has synonyms and a pin."""
    root = tmp_path_factory.mktemp("ruled")
    shutil.copytree(library / "strings", root / "strings")
    rules = SettingsChange(
        synonyms=(SynonymRule(("glue",), ("join",)),),
        pins=(PinRule(("glue strings",), ("str.title", "str.upper")),),
    )
    change_settings(root / "strings", rules)
    with serve(root) as served:
        yield served.url


def test_pinned_hits_and_synonyms_are_told(visit: Any, ruled: str, hits: Any) -> None:
    page = visit(f"{ruled}/?c=strings&q=glue+strings")
    page.wait_for_selector("text=With synonyms of “glue”.")
    assert hits(page)[:2] == ["str.title", "str.upper"]
    assert page.locator(".hit .chip", has_text="pinned").count() == 2


def rules(ruled: str, kind: str) -> Any:
    return httpx.get(f"{ruled}/v1/collections/strings/{kind}", timeout=120).json()[kind]


def test_rules_are_edited_and_never_overwrite_later_ones(visit: Any, ruled: str) -> None:
    page = visit(f"{ruled}/collection?c=strings", expect_trouble=True)  # a refusal is expected
    page.click("summary:has-text('Synonyms')")
    page.wait_for_function("() => document.querySelector('.rules textarea').value === 'glue => join'")
    page.fill("[aria-label=Synonyms]", "glue => join, concat\n\nupper, capital # both ways")
    page.click(".rules:has(textarea[aria-label=Synonyms]) >> text=Save")
    page.wait_for_selector("text=Saved 2 rules.")
    saved = [{"words": ["glue"], "synonyms": ["join", "concat"]}, {"words": ["upper", "capital"], "synonyms": []}]
    assert rules(ruled, "synonyms") == saved

    page.click("summary:has-text('Pins')")
    page.click("text=Add a pin")
    page.keyboard.type("shout\nloud")
    page.keyboard.press("Tab")
    page.keyboard.type("str.upper")
    page.click(".pins >> text=Remove >> nth=0")
    page.click(".rules:has(.pins) >> text=Save")
    page.wait_for_selector("text=Saved 1 rule.")
    assert rules(ruled, "pins") == [{"queries": ["shout", "loud"], "documents": ["str.upper"]}]

    httpx.put(f"{ruled}/v1/collections/strings/pins", json={"pins": []}, timeout=120)
    page.click(".rules:has(.pins) >> text=Save")
    page.wait_for_selector("text=Another user has changed these rules")
    assert rules(ruled, "pins") == []
    page.click("text=Drop my changes")
    page.wait_for_function("() => !document.querySelector('.pins li')")
    page.fill("[aria-label=Synonyms]", "glue")
    page.click(".rules:has(textarea[aria-label=Synonyms]) >> text=Save")
    page.wait_for_selector(".rules .warn:has-text('a rule has two to 64')")
    assert rules(ruled, "synonyms") == saved
