"""Measure the search page and its explanations, in a real browser.

    python -m benchmarks.page COLLECTION --queries QUERIES.jsonl

Prints, for the collection: the weight of the first load and the time until the page is usable; the time from a
keystroke
until its hits are drawn; the cost of an explanation beyond the search; and the distance of the parts of explanations
from the scores that they explain.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

PORT = 8129
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome", "chromium-headless-shell")
QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
KEYSTROKE = """(text) => new Promise((done) => {
  const box = document.getElementById("q");
  const list = document.querySelector(".hits");
  const watch = new MutationObserver(() => { watch.disconnect(); done(performance.now() - began); });
  watch.observe(list, { childList: true });
  const began = performance.now();
  box.value = text;
  box.dispatchEvent(new Event("input"));
})"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.page")
    parser.add_argument("collection", type=Path)
    parser.add_argument("--queries", type=Path, required=True)
    parser.add_argument("--number", type=int, default=100, help="queries to take (default: %(default)s)")
    options = parser.parse_args(arguments)
    queries = [json.loads(line)["text"] for line in options.queries.read_text().splitlines()][: options.number]
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"$ {' '.join(sys.argv)}")
    with _service(options.collection) as base:
        name = options.collection.resolve().name
        _explanations(f"{base}/v1/collections/{name}", queries)
        _page(base, name, queries)


@contextmanager
def _service(collection: Path) -> Iterator[str]:
    base = f"http://127.0.0.1:{PORT}"
    command = [sys.executable, "-m", "service", "serve", str(collection), "--port", str(PORT)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            while True:
                try:
                    if httpx.get(f"{base}/readyz").status_code == 200:
                        break
                except httpx.TransportError:
                    time.sleep(0.1)
            yield base
        finally:
            process.terminate()


def _explanations(collection: str, queries: Sequence[str]) -> None:
    """Measure the cost of explaining one hit, and the error of its parts.

    The error is the distance of their sum from the score.
    """
    plain, explained, distances, remainders = [], [], [], []
    with httpx.Client(timeout=60) as http:
        _search(http, collection, "warm", explain=True)
        for query in queries:
            _search(http, collection, query, explain=False, k=1)  # so that both find its vector in the cache
            plain.append(_search(http, collection, query, explain=False, k=1)[1])
            answer, milliseconds = _search(http, collection, query, explain=True, k=1)
            explained.append(milliseconds)
            answer, _ = _search(http, collection, query, explain=True)
            for hit in answer["hits"]:
                dense = hit["explanation"]["dense"]
                distances.append(abs(sum(map(sum, dense["pairs"])) - hit["scores"]["dense"]))
                remainders.append(abs(dense["remainder"]))
    extra = statistics.median(explained) - statistics.median(plain)
    print(f"explain one hit: {extra:.1f} ms beyond the search of {statistics.median(plain):.1f} ms (medians)")
    print(f"sum of parts − score: at most {max(distances):.1e} over {len(distances)} hits of {len(queries)} queries")
    print(f"rounding of vectors that is spread over the parts: at most {max(remainders):.1e}")


def _search(http: httpx.Client, collection: str, query: str, *, explain: bool, k: int = 10) -> tuple[Any, float]:
    started = time.perf_counter()
    response = http.post(f"{collection}/search", json={"query": query, "k": k, "explain": explain})
    response.raise_for_status()
    return response.json(), (time.perf_counter() - started) * 1000


def _page(base: str, name: str, queries: Sequence[str]) -> None:
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or next((found for each in NAMES if (found := shutil.which(each))), None)
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=QUIET)
        page = browser.new_page()
        responses: list[Any] = []
        page.on("response", lambda response: responses.append(response))
        page.goto(f"{base}/livez")  # the time of the browser's own start does not count
        responses.clear()
        began = time.perf_counter()
        page.goto(f"{base}/?c={name}")
        page.wait_for_selector(".status strong")
        seconds = time.perf_counter() - began
        weight = sum(len(each.body()) for each in responses)
        print(f"first load: {weight / 1000:.1f} kB in {len(responses)} requests, usable after {seconds:.2f} s")
        times = []
        for query in queries:
            times.append(page.evaluate(KEYSTROKE, query))
            page.wait_for_timeout(400)  # like a reader; marks and facets arrive
        times.sort()
        print(f"keystroke to hits: p50 {statistics.median(times):.1f} ms, p95 {times[int(len(times) * 0.95)]:.1f} ms")
        browser.close()


if __name__ == "__main__":
    main()
