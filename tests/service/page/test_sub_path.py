"""The page below a path of a reverse proxy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.service.reverse_proxy import reverse_proxy


@pytest.fixture(scope="module", params=["/attendex", "/tools/search"])
def below(site: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """Address of the service below a path."""
    with reverse_proxy(site, request.param) as url:
        yield url


def test_a_search_is_answered_and_every_request_stays_below_the_path(visit: Any, below: str, hits: Any) -> None:
    page = visit("about:blank")
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(f"{below}/?c=python&q=shuffle+a+list")
    page.wait_for_selector(".hit")
    assert "random.shuffle" in hits(page)
    assert all(url.startswith((f"{below}/", "data:")) for url in requested), requested


def test_links_lead_to_the_views_below_the_path(visit: Any, below: str) -> None:
    page = visit(f"{below}/?c=python&q=shuffle")
    page.wait_for_selector(".hit")
    path = urlsplit(below).path
    for label, end in (
        ("Side by side", "side-by-side"),
        ("Collection", "collection"),
        ("Search", ""),
        ("Attendex", ""),
    ):
        page.click(f"header >> text='{label}'")
        page.wait_for_url(lambda url, wanted=f"{path}/{end}": urlsplit(url).path == wanted)
        page.wait_for_selector("main h1, main form")
        if end:
            assert page.get_attribute("nav a[aria-current=page]", "data-view") == f"{path}/{end}"
