"""Searches by URL: their parameters mean the same as the fields of a body."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.service.conftest import Served
from tests.service.test_routes import SEARCH, problem

BOOSTS = [{"filter": "year > 2000", "weight": 3}, {"field": "year", "curve": "log1p", "weight": 2}]
VECTOR = [1.0] * 384


@pytest.mark.parametrize(
    ("parameters", "body"),
    [
        ({"q": "day", "boosts": list(map(json.dumps, BOOSTS))}, {"query": "day", "boosts": BOOSTS}),
        ({"q": "the wing", "bm25_k1": 0.4, "bm25_b": 0}, {"query": "the wing", "bm25": {"k1": 0.4, "b": 0}}),
        ({"q": "the wing", "bm25_short": 0}, {"query": "the wing", "bm25": {"short": 0}}),
        ({"like": ["wing", "heat"], "unlike": "cat/1"}, {"like": ["wing", "heat"], "unlike": ["cat/1"]}),
        ({"vector": VECTOR, "mode": "dense"}, {"vector": VECTOR, "mode": "dense"}),
        ({"q": "", "sort": "-year"}, {"query": "*", "sort": "-year"}),
    ],
)
def test_a_url_searches_as_a_body_does(small: Served, parameters: dict[str, Any], body: dict[str, Any]) -> None:
    by_url = small.http.get(SEARCH, params=parameters).json()
    by_body = small.http.post(SEARCH, json=body).json()
    assert by_url["hits"]
    assert by_url["hits"] == by_body["hits"]


def test_boosts_by_url_change_scores(small: Served) -> None:
    similar = "/v1/collections/small/documents/wing/similar"
    for path, parameters in ((SEARCH, {"q": "day"}), (similar, {})):
        plain = small.http.get(path, params=parameters).json()["hits"]
        boosted = small.http.get(path, params={**parameters, "boosts": json.dumps(BOOSTS[0])}).json()["hits"]
        assert {hit["id"]: hit["score"] for hit in plain} != {hit["id"]: hit["score"] for hit in boosted}


@pytest.mark.parametrize(
    ("parameters", "status", "code", "says"),
    [
        ({"q": "day", "boosts": "year"}, 400, "bad_query", "is not JSON"),
        ({"q": "day", "boosts": "[" * 5_000}, 400, "bad_query", "is not JSON"),
        ({"q": "day", "boosts": '{"filter": 5, "weight": 2}'}, 400, "bad_query", "boosts[0]: filter is 5; give a text"),
        ({"q": "day", "boosts": '{"filtr": "a", "weight": 2}'}, 400, "bad_query", "did you mean filter?"),
        ({"q": "day", "bm25_k1": -1}, 422, "invalid_request", "bm25_k1"),
        ({"q": "day", "mode": "dense", "bm25_k1": 1}, 400, "bad_query", "does not use BM25"),
        ({"q": "day", "bm25": "k1"}, 422, "invalid_request", "did you mean bm25_"),
        ({}, 422, "invalid_request", "give q, like or vector"),
        ({"unlike": "wing"}, 422, "invalid_request", "give q, like or vector"),
    ],
)
def test_a_wrong_parameter_says_what_to_do(
    small: Served, parameters: dict[str, Any], status: int, code: str, says: str
) -> None:
    assert says in str(problem(small.http.get(SEARCH, params=parameters), status, code))
