"""Pins and synonyms of a collection on the search page."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from indexer.maintenance.change_settings import SettingsChange, change_settings
from retrieval.index.storage.pins import PinRule
from retrieval.index.storage.synonyms import SynonymRule


def test_pinned_hits_and_synonyms_are_told(visit: Any, serve: Any, library: Path, tmp_path: Path, hits: Any) -> None:
    shutil.copytree(library / "strings", tmp_path / "strings")
    rules = SettingsChange(
        synonyms=(SynonymRule(("glue",), ("join",)),),
        pins=(PinRule(("glue strings",), ("str.title", "str.upper")),),
    )
    change_settings(tmp_path / "strings", rules)
    with serve(tmp_path) as served:
        page = visit(f"{served.url}/?c=strings&q=glue+strings")
        page.wait_for_selector("text=With synonyms of “glue”.")
        assert hits(page)[:2] == ["str.title", "str.upper"]
        assert page.locator(".hit .chip", has_text="pinned").count() == 2
        page.goto("about:blank")  # the page must not miss the service that ends here
