"""Relative times in the filters of searches: one clock for a request, in every mode."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from retrieval.search.request import checked
from retrieval.search.searcher import Searcher
from retrieval.types import Matching, Mode, SearchRequest

NOW = datetime(2024, 1, 12, 6, tzinfo=UTC)
REQUEST = SearchRequest("roses and oaks and bread", k=40, now=NOW, matching=Matching.ALL, count=True)


@pytest.mark.parametrize("mode", [Mode.DENSE, Mode.LEXICAL, Mode.HYBRID])
@pytest.mark.parametrize("days", [0, 3, 8])
def test_a_filter_by_age_is_that_of_brute_force(library: Searcher, mode: Mode, days: int) -> None:
    everything = library.search(replace(REQUEST, mode=mode)).hits
    young = {hit.id for hit in everything if "date" in hit.metadata and hit.metadata["date"] > NOW - timedelta(days)}
    found = library.search(replace(REQUEST, mode=mode, filter=f"date > now-{days}d"))
    assert {hit.id for hit in found.hits} == young
    assert found.total.value == len(young)


def test_the_time_is_fixed_when_the_request_is_checked() -> None:
    before = datetime.now(UTC)
    request = checked(SearchRequest("a", filter="date > now"))
    assert request.now is not None
    assert before <= request.now <= datetime.now(UTC)
    assert checked(request).now == request.now
    assert checked(SearchRequest("a")).now is None
