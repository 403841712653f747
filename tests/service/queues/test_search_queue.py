"""Searches that are answered together do not affect each other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from retrieval.errors import BadQuery
from retrieval.index.collection.sharded_reader import ShardedReader
from retrieval.results import SearchResult
from retrieval.search.searcher import EncodedRequest, Searcher
from retrieval.types import SearchRequest, Syntax
from service.app import make_services
from service.config.settings import load_settings
from service.http.request_limits import Lifecycle
from service.observability.metrics import Metrics
from service.routes.base import Services
from service.runtime.encoder_registry import EncoderRegistry
from tests.service.conftest import Serve, Served
from tests.service.test_routes import SEARCH, problem


@contextmanager
def opened(root: Path, encoders: EncoderRegistry, **flags: Any) -> Iterator[Services]:
    """Yield the parts of the service without the server."""
    services = make_services(root, load_settings(flags), Lifecycle(), Metrics(), encoders, None, ShardedReader)
    services.collections.refresh()
    try:
        yield services
    finally:
        services.close(30.0)


def together(services: Services, queries: Sequence[str]) -> list[SearchResult | BaseException]:
    async def main() -> list[SearchResult | BaseException]:
        searches = (
            services.searches.search("small", SearchRequest(query, syntax=Syntax.OPERATORS)) for query in queries
        )
        return await asyncio.gather(*searches, return_exceptions=True)

    return asyncio.run(main())


def test_a_query_at_fault_fails_alone(collections: Path, encoders: EncoderRegistry) -> None:
    at_fault = "heat " + " ".join(f"-word{number}" for number in range(70))
    with opened(collections, encoders) as services:
        found = together(services, ["cats", "wing", at_fault, "stroke", "heat", at_fault])
    assert [type(each) for each in found] == [*[SearchResult] * 2, BadQuery, *[SearchResult] * 2, BadQuery]
    assert "at most 64" in str(found[2])


def test_an_unforeseen_failure_reaches_its_own_caller(
    collections: Path, encoders: EncoderRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = Searcher.answer

    def failing(self: Searcher, encoded: EncodedRequest, **options: float) -> SearchResult:
        if encoded.request.query == "heat":
            raise ZeroDivisionError
        return answer(self, encoded, **options)

    monkeypatch.setattr(Searcher, "answer", failing)
    with opened(collections, encoders) as services:
        found = together(services, ["cats", "wing", "heat", "stroke", "plate"])
    assert [type(each) for each in found] == [*[SearchResult] * 2, ZeroDivisionError, *[SearchResult] * 2]


def test_a_query_that_was_answered_stays_so_when_its_collection_goes(
    collections: Path, encoders: EncoderRegistry
) -> None:
    with opened(collections, encoders, recall_sample=1.0) as services:
        services.recall.sample("dropped meanwhile", "cats")
        assert services.recall.estimate("dropped meanwhile") is None


def test_a_list_of_searches_is_not_refused_on_its_own_account(collections: Path, serve: Serve) -> None:
    searches = [{"query": f"cats and number {number}", "k": 1} for number in range(40)]
    with serve(collections, **{"queue.length": 8}) as served:
        answer = served.http.post(f"{SEARCH}/batch", json={"searches": searches})
        assert answer.status_code == 200
        assert [each["query"] for each in answer.json()["results"]] == [each["query"] for each in searches]


def test_lists_that_come_together_are_let_in_or_refused_as_a_whole(collections: Path, serve: Serve) -> None:
    async def main(url: str) -> list[int]:
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            bodies = [
                {"searches": [{"query": f"cats and number {place} of {number}"} for place in range(30)]}
                for number in range(8)
            ]
            answers = await asyncio.gather(*(client.post(f"{SEARCH}/batch", json=body) for body in bodies))
        return [answer.status_code for answer in answers]

    with serve(collections) as served:
        statuses = asyncio.run(main(served.url))
    assert set(statuses) <= {200, 429}
    assert statuses.count(200) >= 4


def test_a_list_of_searches_shares_the_hits_that_can_be_reached(small: Served) -> None:
    searches = [{"query": "cats", "k": 1_000}] * 11
    problem(small.http.post(f"{SEARCH}/batch", json={"searches": searches}), 413, "too_large")


@pytest.mark.parametrize(
    "options", [{"explain": True, "k": 101}, {"highlight": True, "k": 11, "passages_per_document": 10}], ids=str
)
def test_what_takes_a_look_at_each_hit_is_for_few_of_them(small: Served, options: dict[str, Any]) -> None:
    refused = small.http.post(SEARCH, json={"query": "cats", **options})
    assert "100" in problem(refused, 400, "bad_query").detail
    fewer = small.http.post(SEARCH, json={"query": "cats", **options, "k": 10})
    assert fewer.status_code == 200
