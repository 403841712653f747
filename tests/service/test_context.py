"""Passages and contexts over real HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.client import Client
from service.client.answers.context import ContextAnswer, PassagesAnswer
from tests.service.conftest import DOCUMENTS, Served

BASE = "/v1/collections/small"
TEXT_OF = {str(each["id"]): str(each["text"]) for each in DOCUMENTS}


def test_passages_are_hits_of_their_own(small: Served) -> None:
    body = {"query": "aspirin and stroke", "k": 3, "neighbours": 1, "highlight": True, "explain": True}
    answer = small.http.post(f"{BASE}/passages/search", json=body).json()
    found = PassagesAnswer.model_validate(answer, extra="forbid")
    first = found.passages[0]
    assert (first.rank, first.document, first.title, first.number, first.next) == (1, "aspirin", "Aspirin", 1, None)
    assert TEXT_OF[first.document][first.start : first.end] == first.text
    assert first.tokens == 11
    assert first.highlights
    assert first.explanation is not None
    assert found.search.hits == []
    by_search = small.http.post(f"{BASE}/search", json={**body, "group_by": "none"}).json()
    assert [each.score for each in found.passages] == [each["score"] for each in by_search["hits"]]


def test_a_context_cites_the_documents(small: Served) -> None:
    body = {"query": "aspirin and stroke", "max_tokens": 40, "filter": "year < 2010", "facets": ["year"]}
    found = ContextAnswer.model_validate(small.http.post(f"{BASE}/context", json=body).json(), extra="forbid")
    assert found.text.startswith("[1] Aspirin\nAspirin lowers the risk of stroke in adults.\n\n[2] ")
    assert found.tokens <= 40
    assert found.truncated
    for each in found.citations:
        assert TEXT_OF[each.document][each.start : each.end] == each.text
        assert found.text[each.offset :].startswith(each.text)
    assert found.search.facet_stats["year"].max == 2003
    rest = small.http.post(f"{BASE}/context", json={**body, "offset": found.next_offset}).json()
    assert {each["document"] for each in rest["citations"]}.isdisjoint({each.document for each in found.citations[:-1]})


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"query": "a", "max_tokens": 15}, 422, "greater than or equal to 16"),
        ({"query": "a", "unit": "letters"}, 422, "unit"),
        ({"query": "a", "detail": "ids"}, 400, "neither ids alone"),
        ({"query": "a", "include": ["text"]}, 400, "nor whole texts"),
        ({"query": "a", "max_token": 20}, 422, "did you mean max_tokens?"),
        ({}, 422, "has no query"),
        ({"query": "a", "filter": "yaer = 1"}, 400, "year"),
    ],
)
def test_wrong_contexts_are_refused(small: Served, body: dict[str, Any], status: int, says: str) -> None:
    answer = small.http.post(f"{BASE}/context", json=body)
    assert (answer.status_code, says in answer.text) == (status, True), answer.text


def test_documents_are_ordered_where_the_search_orders_them(small: Served) -> None:
    body = {"query": "*", "sort": "-year", "max_tokens": 200}
    found = small.http.post(f"{BASE}/context", json=body).json()
    assert [each["document"] for each in found["citations"]] == ["cat/1", "aspirin", "größe", "heat", "wing"]


def test_the_client_has_contexts(small: Served) -> None:
    with Client(small.url) as client:
        found = client.context("small", "aspirin", max_tokens=60, unit="characters")
    assert (found.tokens, found.unit) == (len(found.text), "characters")


def test_the_command_prints_a_context(small: Served) -> None:
    arguments = ["context", str(small.root / "small"), "aspirin and stroke", "--max-tokens", "40"]
    printed = CliRunner().invoke(app, arguments)
    assert printed.stdout.startswith("[1] Aspirin\nAspirin lowers the risk of stroke in adults.\n")
    answered = json.loads(CliRunner().invoke(app, [*arguments, "--json", "--unit", "characters"]).stdout)
    assert answered["tokens"] == len(answered["text"]) <= 40
    refused = CliRunner().invoke(app, [*arguments, "--unit", "letters"])
    assert refused.exit_code == 1
    assert "unit is 'letters'; it is tokens, words, characters, bytes" in refused.output
