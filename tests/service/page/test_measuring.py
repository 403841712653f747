"""Judging, side by side, the collection's page, and that everybody can use them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.config.api_keys import add_key

QUERY = "remove whitespace from the end of a string"
Hits = Callable[[Any], list[str]]


def test_judging_is_measuring(visit: Any, serve: Any, library: Path, hits: Hits) -> None:
    with serve(library, grace_seconds=0) as served:
        page = visit(f"{served.url}/?c=strings&q={QUERY}")
        page.wait_for_selector(".hit")
        page.check("#judging")
        page.click('[data-id="str.rstrip"] [data-grade="3"]')
        page.wait_for_selector("text=1 judgment of 1 query")
        page.focus(f'[data-id="{hits(page)[1]}"]')
        page.keyboard.press("0")
        page.wait_for_selector("text=2 judgments of 1 query")
        page.wait_for_selector("text=nDCG@10 over 1 judged query")
        with page.expect_download() as started:
            page.click("text=qrels (TREC)")
        lines = Path(started.value.path()).read_text().splitlines()
        assert sorted(line.split()[2:] for line in lines) == sorted([["str.rstrip", "3"], [hits(page)[1], "0"]])
        page.reload()
        page.wait_for_selector(".hit")
        page.check("#judging")
        page.wait_for_selector('[data-id="str.rstrip"] [data-grade="3"][aria-pressed=true]')
        page.click('[data-id="str.rstrip"] [data-grade="3"]')
        page.wait_for_selector("text=1 judgment of 1 query")
        page.goto("about:blank")  # nothing is asked while the service ends


def test_judging_needs_a_key_that_may_write(visit: Any, serve: Any, library: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    key = add_key(keys, "reader", "read", [])
    with serve(library, keys=keys, grace_seconds=0) as served:
        page = visit(f"{served.url}/?c=strings&q={QUERY}", expect_trouble=True)
        page.fill("#key", key)
        page.click("text=Use it")
        page.wait_for_selector(".hit")
        page.check("#judging")
        page.click('[data-id="str.rstrip"] [data-grade="3"]')
        page.wait_for_selector("text=needs a key that may write")


def test_documents_are_linked_side_by_side(visit: Any, site: str) -> None:
    page = visit(f"{site}/side-by-side?c=python&q={QUERY}&rc=strings")
    page.wait_for_selector(".lines path")
    left, right = (
        set(page.eval_on_selector_all(f"[aria-label='{side} hits'] .hit", "all => all.map(each => each.dataset.id)"))
        for side in ("Left", "Right")
    )
    assert page.locator(".lines path").count() == len(left & right)
    assert f"{len(left & right)} of 10 documents on both sides" in page.inner_text(".status")
    assert all(each.startswith("str.") for each in right)


def test_side_by_side_follows_its_settings(visit: Any, site: str) -> None:
    page = visit(f"{site}/side-by-side?c=python")
    page.fill("#q", "join")
    page.wait_for_selector(".hit")
    page.fill("role=textbox[name='Right: filter']", 'module = "os.path"')
    ids = "[...document.querySelectorAll(\"[aria-label='Right hits'] .hit\")].map(each => each.dataset.id)"
    page.wait_for_function(f"() => {ids}.length && {ids}.every(id => id.startsWith('os.path'))")
    page.wait_for_function("() => location.search.includes('rf=')")


def test_the_collection_is_described(visit: Any, site: str) -> None:
    page = visit(f"{site}/collection?c=python")
    page.wait_for_selector(".map")
    described = httpx.get(f"{site}/v1/collections/python", timeout=120).json()
    assert f"{described['documents']:,}" in page.inner_text(".figures")
    assert described["fingerprint"]["weights_sha256"] in page.inner_text("main")
    assert "method" in page.inner_text(".fields")
    assert "open" in page.inner_text("table.list")
    page.fill("#q", "shuffle a list")
    page.wait_for_selector("text=best hits are in this sample")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("path", "ready"),
    [
        ("/?c=python&q=remove+whitespace&why=str.rstrip", ".query-word"),
        ("/side-by-side?c=python&q=remove+whitespace", ".hit"),
        ("/collection?c=python", ".map"),
    ],
)
def test_axe_finds_no_serious_violation(visit: Any, site: str, path: str, ready: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python", reason="needs the package axe-playwright-python")
    page = visit(site + path, color_scheme=scheme)
    page.wait_for_selector(ready)
    if "why" in path:
        page.check("#judging")
        page.wait_for_selector(".grades")
        page.click(".hit .why-button >> nth=0")
        page.click("role=tab[name='Word by word'] >> nth=0")
    page.wait_for_timeout(500)
    page.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8") + "; true")
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then(found => found.violations)")
    serious = [
        (each["id"], [node["html"][:120] for node in each["nodes"][:3]])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
    assert serious == []
