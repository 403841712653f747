"""Overload: lexical answers or refusals, and full speed afterwards."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from tests.service.conftest import Serve
from tests.service.test_routes import SEARCH

TIGHT = {"queue.length": 6, "queue.batch_searches": 1, "queue.threads": 1}


async def storm(url: str, mode: str | None, count: int = 150) -> list[tuple[int, dict[str, Any]]]:
    limits = httpx.Limits(max_connections=count)
    async with httpx.AsyncClient(base_url=url, timeout=30, limits=limits) as client:
        bodies = [{"query": f"how do cats number {n} sleep", "mode": mode} for n in range(count)]
        answers = await asyncio.gather(*(client.post(SEARCH, json=body) for body in bodies))
        return [(answer.status_code, answer.json()) for answer in answers]


def test_hybrid_searches_are_answered_by_words_when_allowed(collections: Path, serve: Serve) -> None:
    with serve(collections, degrade=True, **TIGHT) as served:
        answers = [body for status, body in asyncio.run(storm(served.url, None)) if status == 200]
        kinds = Counter(tuple(body["degraded"]) for body in answers)
        assert kinds[()] > 0
        assert kinds[("dense",)] > 0
        for body in answers:
            assert body["mode"] == ("lexical" if body["degraded"] else "hybrid")
        assert (
            f'attendex_degraded_responses_total{{reason="dense"}} {kinds[("dense",)]}.0'
            in served.http.get("/metrics").text
        )
        again = served.http.post(SEARCH, json={"query": "cats"}).json()
        assert again["degraded"] == []


def test_dense_searches_are_refused_all_the_same(collections: Path, serve: Serve) -> None:
    with serve(collections, degrade=True, **TIGHT) as served:
        answers = asyncio.run(storm(served.url, "dense"))
        assert {status for status, _ in answers} == {200, 429}
        assert all(body["degraded"] == [] for status, body in answers if status == 200)


def test_without_leave_to_degrade_the_rest_is_refused(collections: Path, serve: Serve) -> None:
    with serve(collections, **TIGHT) as served:
        statuses = Counter(status for status, _ in asyncio.run(storm(served.url, None)))
        assert set(statuses) == {200, 429}
        assert served.http.post(SEARCH, json={"query": "cats"}).status_code == 200
