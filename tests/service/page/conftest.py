"""A real browser in front of a real service.

The browser is a Chromium of the system: `CHROMIUM` names it, or it is found on the PATH; the headless shell takes a
third less time than the whole browser.  Without one, or without playwright, these tests are skipped.  With `ARTEFACTS`
set to a folder, screenshots are kept there.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.demo.stdlib import standard_library
from indexer.building.pipeline import build_collection

playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
XSS = "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 2'>"
UNUSUAL = (  # ten, as many as a page shows
    {
        "id": "../up",
        "title": "Two dots",
        "text": "Bread whose id begins with two dots.",
        "tags": ["R AND D", 'say "hi"'],
    },
    {"id": ".", "title": "One dot", "text": "Bread whose id is one dot.", "tags": ["tab\there", "back\\slash"]},
    {"id": "a/../b", "title": "Dots inside", "text": "Bread whose id has dots inside.", "year": 1990, "año": "2020"},
    {"id": "b", "title": "Another", "text": "Bread whose id is what a browser makes of a/../b.", "year": 2020},
    {"id": "hebrew", "title": "לחם (2020)", "text": "לחם bread זהו מסמך בעברית על לחם!", "kind": "עברית"},
    {"id": "wide", "title": "W" * 300, "text": "Bread " + "W" * 2000, "kind": "x" * 300, "very_long_name_" * 4: "v"},
    {"id": "flour", "title": "Flour", "text": "Bread is made of flour.", "kind": "note", "year": 1991},
    {"id": "water", "title": "Water", "text": "Bread is made of water.", "kind": "paper", "year": 1992},
    {"id": "salt", "title": "Salt", "text": "Bread is made of salt.", "kind": "note", "subkind": "paper", "year": 2021},
    {"id": "time", "title": "Time", "text": "Bread is made of time.", "kind": "paper", "subkind": "note", "year": 2022},
)
MODULES = ("builtins", "os.path", "itertools", "textwrap", "shutil", "random")

Open = Callable[..., Any]  # (path, **context) → a page


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser for one module: while it is open an event loop runs in this thread, which other tests cannot have."""
    path = os.environ.get("CHROMIUM") or next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium-headless-shell, or give its path in CHROMIUM")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=path, args=QUIET)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory, copy_of_shared: Callable[..., Path]) -> Path:
    """Collections: a part of the demo's, with one hostile document; a smaller part; and what is seldom met."""
    source = tmp_path_factory.mktemp("source")
    return copy_of_shared("library", lambda root: build_library(source, root))


def build_library(source: Path, root: Path) -> None:
    entries = [each for each in standard_library() if each.module in MODULES and not each.id.endswith("__")]
    hostile = (
        '{"id": "evil", "title": "Evil ' + XSS + '", "text": "A hostile document about markup. ' + XSS + '", '
        '"metadata": {"kind": "' + XSS + '", "module": "evil"}}\n'
    )
    for name, chosen in (("python", entries), ("strings", [each for each in entries if each.id.startswith("str.")])):
        file = source / f"{name}.jsonl"
        file.write_text("".join(each.as_json() + "\n" for each in chosen) + (hostile if name == "python" else ""))
        build_collection([file], root / name)
    file = source / "unusual.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in UNUSUAL))
    build_collection([file], root / "unusual")


@pytest.fixture(scope="session")
def site(serve: Any, library: Path) -> Iterator[str]:
    """Address of a service of these collections."""
    with serve(library) as served:
        yield served.url


@pytest.fixture
def visit(browser: Any, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens pages, and fails the test for anything that a page reports to its console."""
    contexts, troubles = [], []

    def visiting(url: str, *, expect_trouble: bool = False, **settings: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **settings})
        contexts.append(context)
        page = context.new_page()
        if not expect_trouble:
            page.on("pageerror", lambda error: troubles.append(str(error)))
            page.on("console", lambda message: message.type == "error" and troubles.append(message.text))
        page.goto(url)
        return page

    yield visiting
    for number, context in enumerate(contexts):
        keep(context.pages[-1], f"{request.node.name}-{number}")
        context.close()
    assert troubles == []


def keep(page: Any, name: str) -> None:
    """Keep a screenshot where ARTEFACTS says."""
    folder = os.environ.get("ARTEFACTS")
    if folder and not page.is_closed():
        page.screenshot(path=Path(folder) / f"{name}.png")


@pytest.fixture
def hits() -> Callable[[Any], list[str]]:
    """Ids of the hits that a page shows, in order."""

    def shown(page: Any) -> list[str]:
        return page.eval_on_selector_all(".hit", "all => all.map(each => each.dataset.id)")

    return shown
