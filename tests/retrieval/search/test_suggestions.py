"""Typing errors, unfinished words and completions in searches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from indexer.building.collection_lifecycle import create_collection
from indexer.building.document_changes import CollectionChange, apply_changes
from retrieval.encoder.checkpoint.hub import DEFAULT
from retrieval.encoder.loading import load_encoder
from retrieval.errors import BadQuery
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.types import Document, Mode, Prefix, SearchRequest

PRODUCTS = {
    "jacket": ("Rain jacket", "A light jacket that keeps the rain out. It folds into its own pocket."),
    "sneakers": ("Canvas sneakers", "Sneakers for every day, in red and white."),
    "monitor": ("Monitor, 27 inches", "A screen for the desk, with speakers."),
    "jar": ("Jam jar", "A glass jar for jam."),
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searcher]:
    path = tmp_path_factory.mktemp("shop") / "shop"
    encoder = load_encoder(DEFAULT)
    create_collection(path, encoder)
    made = tuple(Document(id_, text, title) for id_, (title, text) in PRODUCTS.items())
    apply_changes(path, encoder, [CollectionChange(upserts=made)])
    with open_searcher(path, encoder=encoder) as opened:
        yield opened


@pytest.mark.parametrize("mode", [Mode.LEXICAL, Mode.HYBRID])
@pytest.mark.parametrize(("query", "first"), [("rian jaket", "jacket"), ("sneekers", "sneakers")])
def test_misspelt_queries_find_the_products(shop: Searcher, mode: Mode, query: str, first: str) -> None:
    found = shop.search(SearchRequest(query, mode=mode, explain=True))
    assert found.hits[0].id == first
    assert [each.word for each in found.replacements] == query.split()
    explanation = found.hits[0].explanation
    assert explanation is not None
    assert explanation.lexical is not None
    assert explanation.lexical.replacements == found.replacements
    assert explanation.lexical.score > 0


def test_the_encoder_reads_the_corrected_query(shop: Searcher) -> None:
    misspelt = shop.search(SearchRequest("a jaket for rainy days", feedback=0.0))
    correct = shop.search(SearchRequest("a jacket for rainy days", feedback=0.0))
    assert [hit.scores["dense"] for hit in misspelt.hits] == [hit.scores["dense"] for hit in correct.hits]
    assert misspelt.hits[0].scores["lexical"] < correct.hits[0].scores["lexical"]  # type: ignore[operator]


@pytest.mark.parametrize("mode", [Mode.DENSE, Mode.LEXICAL, Mode.HYBRID])
def test_queries_of_known_words_are_unchanged(shop: Searcher, mode: Mode) -> None:
    request = SearchRequest("red sneakers for the rain", mode=mode)
    on, off = shop.search(request), shop.search(replace(request, typos=False))
    assert (on.hits, on.replacements) == (off.hits, ())


def test_errors_stay_if_asked_for(shop: Searcher) -> None:
    assert shop.search(SearchRequest("sneekers", mode=Mode.LEXICAL, typos=False)).hits == ()


def test_the_start_of_a_word_finds_the_words(shop: Searcher) -> None:
    request = SearchRequest("jack", mode=Mode.LEXICAL)
    assert shop.search(replace(request, typos=False)).hits == ()
    found = shop.search(replace(request, prefix=Prefix.LAST, highlight=True))
    assert [hit.id for hit in found.hits] == ["jacket"]
    best = found.hits[0].passages[0]
    assert {best.text[start:end].lower() for start, end in best.highlights} == {"jacket"}
    with pytest.raises(BadQuery, match="use mode lexical or hybrid"):
        shop.search(replace(request, mode=Mode.DENSE, prefix=Prefix.LAST))


def test_suggestions_are_words_and_titles(shop: Searcher) -> None:
    found = shop.suggest("ja")
    assert set(found.words) == {"jacket", "jam", "jar"}
    assert {each.title for each in found.titles} == {"Rain jacket", "Jam jar"}
    assert [(each.id, each.title) for each in shop.suggest("rain j").titles] == [("jacket", "Rain jacket")]
    assert shop.suggest("sneekers").words == ("sneakers",)
    assert len(shop.suggest("s", 1).words) == 1
    assert shop.suggest("!").words == ()


@pytest.mark.parametrize(
    ("query", "count", "says"), [("x" * 201, 5, "at most 200"), ("x", 0, "1 to 20"), ("x", 21, "1 to 20")]
)
def test_suggestions_are_bounded(shop: Searcher, query: str, count: int, says: str) -> None:
    with pytest.raises(BadQuery, match=says):
        shop.suggest(query, count)
