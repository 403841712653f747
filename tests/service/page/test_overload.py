"""The page of a service that has more to do than it can."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.service.test_overload import TIGHT

CALLERS = 12


@contextmanager
def flooded(url: str) -> Iterator[None]:
    """Callers who ask again as soon as they have an answer, each time something new."""
    stop = threading.Event()
    numbers = itertools.count()

    async def caller(client: httpx.AsyncClient) -> None:
        while not stop.is_set():
            await client.post("/v1/collections/python/search", json={"query": f"strings like number {next(numbers)}"})

    async def all_callers() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            await asyncio.gather(*(caller(client) for _ in range(CALLERS)))

    thread = threading.Thread(target=asyncio.run, args=(all_callers(),))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def ask_until(page: Any, text: str, *, is_shown: bool = True) -> None:
    """Ask new queries until the status of an answer says `text`, or no longer says it."""
    for number in range(100):
        page.fill("#q", f"join strings {number}")
        page.wait_for_timeout(200)
        status = page.inner_text(".status")
        if status.strip() and (text in status) == is_shown:
            return
    raise AssertionError(f"the page {'never' if is_shown else 'always'} said: {text}")


def test_the_page_says_that_words_alone_answered(visit: Any, serve: Any, library: Any) -> None:
    with serve(library, degrade=True, **TIGHT) as served:
        page = visit(f"{served.url}/?c=python&q=join", expect_trouble=True)
        page.wait_for_selector(".hit")
        with flooded(served.url):
            ask_until(page, "Answered by words alone")
            assert page.locator(".hit").count() > 0
        ask_until(page, "words alone", is_shown=False)  # the service notices the end of the load after a moment
        assert page.locator(".hit").count() > 0


def test_the_page_tries_again_when_it_is_refused(visit: Any, serve: Any, library: Any) -> None:
    with serve(library, **TIGHT) as served:
        page = visit(f"{served.url}/?c=python&q=join", expect_trouble=True)
        page.wait_for_selector(".hit")
        with flooded(served.url):
            ask_until(page, "is full")
        page.wait_for_function("() => !document.querySelector('.status').innerText.includes('is full')")
        assert page.locator(".hit").count() > 0
