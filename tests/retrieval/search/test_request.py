"""Checks of a search request, without a collection."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from retrieval.errors import BadQuery
from retrieval.search.request import checked
from retrieval.search.request_limits import MAX_DEPTH, MAX_FACETS, MAX_QUERY_CHARACTERS
from retrieval.types import Mode, SearchRequest

REQUEST = SearchRequest("roses")


def test_the_query_is_stripped() -> None:
    assert checked(SearchRequest(" \n roses and oaks\t")).query == "roses and oaks"


def test_a_checked_request_comes_back_as_it_is() -> None:
    assert checked(REQUEST) is REQUEST


def test_a_mode_may_be_its_name() -> None:
    assert checked(replace(REQUEST, mode="lexical")).mode is Mode.LEXICAL  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [
        {"query": "x" * MAX_QUERY_CHARACTERS},
        {"k": MAX_DEPTH},
        {"k": 1, "offset": MAX_DEPTH - 1},
        {"facets": ("year",) * MAX_FACETS},
        {"weight": 0.0},
        {"weight": 1.0},
        {"rrf_k": 1},
        {"rrf_k": 10_000},
    ],
)
def test_a_value_at_its_limit_passes(options: dict[str, Any]) -> None:
    request = replace(REQUEST, **options)
    assert replace(checked(request), now=None) == request  # facets may count ranges of time


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"query": " "}, "the query is empty; give at least one word, or \\* for all documents"),
        ({"query": "x" * 20_001}, "the query has 20,001 characters; at most 20,000 are allowed"),
        ({"k": 0}, "k is 0; ask for at least 1 hit"),
        ({"offset": -1}, "offset is -1; it counts from 0"),
        ({"k": 2, "offset": 9_999}, "offset \\+ k is 10,001; at most 10,000 hits can be reached"),
        ({"facets": ("year",) * 17}, "the request has 17 facets; at most 16 are counted at once"),
        ({"mode": "words"}, "mode is 'words'; it is dense, lexical, sparse, hybrid"),
        ({"fusion": "sum"}, "fusion is 'sum'; it is 'convex' or 'rrf'"),
        ({"weight": -0.1}, "weight is -0.1; give a number from 0 to 1"),
        ({"rrf_k": 0}, "rrf_k is 0; give a whole number from 1 to 10,000"),
        ({"rrf_k": 10_001}, "rrf_k is 10001; give a whole number from 1 to 10,000"),
        ({"min_score": float("nan")}, "min_score is nan; give a finite number"),
        ({"passages_per_document": 0}, "passages_per_document is 0; ask for at least 1"),
    ],
)
def test_a_value_beyond_its_limit_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadQuery, match=message):
        checked(replace(REQUEST, **options))
