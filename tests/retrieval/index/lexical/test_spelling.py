"""Terms for unknown words, compared with a comparison of all terms."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import OSA

from retrieval.index.lexical.inexact_terms import InexactTerms
from retrieval.index.lexical.phrases import ParsedQuery
from retrieval.index.lexical.query_terms import MAX_LOOKED_UP
from retrieval.index.lexical.reader import LexicalReader
from retrieval.index.storage.settings import LexicalSettings
from tests.retrieval.index.lexical.samples import make_index, make_segment

TEXTS = (
    "Rain jackets for hiking in rain",
    "Red sneakers, and sneakers in blue",
    "The experiments ran with iron",
    "Jack of all trades was running to Rio",
    "Part AB1234 and station 3000",
    "Größe und Straße",
)
WORDS = st.text("abcä", min_size=1, max_size=10)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> LexicalReader:
    return make_index(tmp_path_factory.mktemp("shop"), TEXTS, LexicalSettings())


def corrected(index: LexicalReader, text: str) -> str:
    return index.corrected(ParsedQuery(text, typos=True))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("rian jaket", "rain jacket"),
        ("sneekers", "sneakers"),
        ("experiemnts", "experiments"),  # the error spoils the stem
        ("Runnning", "running"),
        ("snaekerz", "sneaker"),  # two edits from eight letters on
        ("rain-hikng", "rain-hiking"),
    ],
)
def test_errors_are_corrected(shop: LexicalReader, typed: str, meant: str) -> None:
    assert corrected(shop, typed) == meant


@pytest.mark.parametrize(
    "typed", ["rin", "AB1235", "3001", "st4tion", "x.y", "qwertz", "rain sneakers", "", "甲乙", "Größe"]
)
def test_other_words_stay(shop: LexicalReader, typed: str) -> None:
    query = ParsedQuery(typed, typos=True)
    assert shop.terms_of(query).replacements == ()
    assert shop.terms_of(query).counts == shop.terms_of(ParsedQuery(typed)).counts
    assert corrected(shop, typed) == typed


def test_few_words_of_a_query_are_looked_up(shop: LexicalReader) -> None:
    unknown = " ".join(f"qwertz{'abcdefghijklmnopqrstuvwxyz'[i]}" for i in range(MAX_LOOKED_UP))
    assert corrected(shop, f"rain jaket {unknown}") == f"rain jacket {unknown}"
    assert corrected(shop, f"{unknown} rain jaket") == f"{unknown} rain jaket"


def test_a_replaced_word_ranks_with_a_penalty(shop: LexicalReader) -> None:
    exact, misspelt = ParsedQuery("sneakers"), ParsedQuery("sneekers", typos=True)
    assert shop.search(ParsedQuery("sneekers"), 5).rows.tolist() == []
    found = shop.search(misspelt, 5)
    assert found.rows.tolist() == shop.search(exact, 5).rows.tolist() == [1]
    assert 0 < found.scores[0] < shop.search(exact, 5).scores[0]
    assert shop.has_all_terms(misspelt, 1)
    assert not shop.has_all_terms(misspelt, 0)


def test_the_last_word_is_completed(shop: LexicalReader) -> None:
    jackets = shop.search(ParsedQuery("jack", prefix=True), 5).rows.tolist()
    assert jackets == [3, 0]  # the word itself, then the words that it begins
    assert shop.search(ParsedQuery("red sneak", prefix=True), 1).rows.tolist() == [1]
    assert shop.search(ParsedQuery("runni", prefix=True), 1).rows.tolist() == [3]  # its stem is shorter
    assert shop.terms_of(ParsedQuery("jack sneakers", prefix=True)).counts == {"jack": 1, "sneaker": 1}


@given(st.lists(WORDS, min_size=1, max_size=30), WORDS, st.integers(1, 2))
def test_near_terms_are_those_of_a_comparison_with_all(words: list[str], word: str, edits: int) -> None:
    table = table_of(words)
    expected = {
        term: OSA.distance(word, term)
        for term in words
        if OSA.distance(word, term) <= edits
        and (edits == 1 or term[0] == word[0])
        and (term.isascii() or not word.isascii())
    }
    assert {term: distance for term, _, distance in table.near(word, edits)} == expected


@given(st.lists(WORDS, min_size=1, max_size=30), st.lists(WORDS, max_size=30))
def test_known_terms_and_beginnings_are_found(words: list[str], wanted: list[str]) -> None:
    table = table_of(words)
    known = [wanted[i] for i in table.known([word.encode() for word in wanted])]
    assert known == [word for word in wanted if word in words]
    for word in wanted:
        first, last = table.starting(word)
        assert {table.text(number) for number in range(first, last)} == {
            each for each in words if each.startswith(word)
        }


def table_of(words: list[str]) -> InexactTerms:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return InexactTerms(make_segment(Path(folder), ("", " ".join(words))))
