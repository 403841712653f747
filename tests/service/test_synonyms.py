"""Synonyms over HTTP: replaced, searched with, explained, and left out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.client import Client
from service.client.answers.search import SearchAnswer
from service.client.answers.synonyms import SynonymsAnswer
from tests.service.conftest import Serve, Served

PATH = "/v1/collections/shop/synonyms"
RULES = [{"words": ["medicament"], "synonyms": ["aspirin", "cold drug"]}, {"words": ["kitten", "cats"]}]


@pytest.fixture(scope="module")
def shop(collections: Path, serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Return a service whose collection `shop` has synonyms."""
    root = tmp_path_factory.mktemp("shop")
    shutil.copytree(collections / "small", root / "shop")
    with serve(root) as served:
        answer = served.http.put(PATH, json={"synonyms": RULES})
        assert answer.status_code == 200, answer.text
        yield served


def test_they_are_shown_as_they_were_given(shop: Served) -> None:
    shown = SynonymsAnswer.model_validate(shop.http.get(PATH).json(), extra="forbid")
    assert shown.generation == 2
    assert [(rule.words, rule.synonyms) for rule in shown.synonyms] == [
        (rule["words"], rule.get("synonyms", [])) for rule in RULES
    ]
    with Client(shop.url) as client:
        assert client.synonyms("shop") == shown
        assert client.replace_synonyms("shop", RULES) == shown  # the same rules make no generation


def test_rules_are_replaced_only_if_they_have_not_changed(shop: Served) -> None:
    tag = shop.http.get(PATH).headers["etag"]
    refused = shop.http.put(PATH, json={"synonyms": []}, headers={"If-Match": '"other"'})
    assert (refused.status_code, refused.json()["code"]) == (412, "content_changed")
    replaced = shop.http.put(PATH, json={"synonyms": RULES}, headers={"If-Match": tag})
    assert (replaced.status_code, replaced.headers["etag"]) == (200, tag)


@pytest.mark.parametrize("mode", ["lexical", "hybrid"])
def test_searches_find_them_unless_told_not_to(shop: Served, mode: str) -> None:
    body = {"query": "medicament", "mode": mode, "explain": True, "k": 1}
    answer = shop.http.post("/v1/collections/shop/search", json=body)
    found = SearchAnswer.model_validate(answer.json(), extra="forbid")
    [told] = found.replacements
    assert (told.word, told.reason, told.terms) == ("medicament", "synonym", ["medica", "aspirin", "cold drug"])
    explanation = found.hits[0].explanation
    assert explanation is not None
    assert explanation.lexical is not None
    assert [term.term for term in explanation.lexical.terms] == ["aspirin"]
    without = SearchAnswer.model_validate(
        shop.http.get("/v1/collections/shop/search", params={"q": "medicament", "mode": mode, "synonyms": False}).json()
    )
    assert without.replacements == []
    assert (without.hits == []) == (mode == "lexical")


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({}, 422, "synonyms"),
        ({"synonyms": [{"words": ["tv"]}]}, 400, "a rule has two to 64"),
        ({"synonyms": [{"words": ["tv", "a,b"]}]}, 400, "without commas"),
        ({"synonyms": [{"word": ["tv", "ab"]}]}, 422, "did you mean words?"),
    ],
)
def test_wrong_rules_are_refused(shop: Served, body: object, status: int, says: str) -> None:
    answer = shop.http.put(PATH, json=body)
    assert (answer.status_code, says in answer.text) == (status, True), answer.text
    assert shop.http.put("/v1/collections/none/synonyms", json={"synonyms": []}).status_code == 404
