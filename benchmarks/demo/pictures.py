"""Make the pictures of docs/images from a service of the demo collection.

    make demo &
    python -m benchmarks.demo.pictures http://127.0.0.1:8080

It needs playwright and a Chromium on the PATH, or in CHROMIUM.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

from playwright.sync_api import sync_playwright

from benchmarks.demo.__main__ import EXAMPLES

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "images"
HEIGHT = 820
ANSWER_MS = 30_000


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the pictures of docs/images.")
    parser.add_argument("url", help="address of `attendex serve` with the demo collection")
    options = parser.parse_args()
    browser_path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1180, "height": HEIGHT}, color_scheme="light")
        picture_of_hits(page, options.url)
        picture_of_reasons(page, options.url)
        browser.close()


def picture_of_hits(page: Any, url: str) -> None:
    """Show the search page with the hits of the first question of the demo."""
    for _ in range(2):  # the first search also loads the model
        open_question(page, url, EXAMPLES[0])
    page.screenshot(path=FOLDER / "search.png")


def picture_of_reasons(page: Any, url: str) -> None:
    """Show a hit of the last question, with the explanation of its score."""
    open_question(page, url, EXAMPLES[2])
    hit = page.locator('.hit[data-id="functools.lru_cache"]')
    hit.get_by_role("button", name="Why?").click()
    hit.locator(".why .equation").wait_for(timeout=ANSWER_MS)
    page.wait_for_load_state("networkidle")
    hit.screenshot(path=FOLDER / "why.png")


def open_question(page: Any, url: str, question: str) -> None:
    page.goto(f"{url.rstrip('/')}/?q={quote(question)}")
    page.locator(".hit mark").first.wait_for(timeout=ANSWER_MS)
    page.wait_for_load_state("networkidle")


if __name__ == "__main__":
    main()
