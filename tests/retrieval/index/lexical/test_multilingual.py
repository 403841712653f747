"""Passages in several languages in one index, each with its stemmer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retrieval.errors import InputError
from retrieval.index.lexical.analyzer import Analyzer
from retrieval.index.lexical.phrases import ParsedQuery, parse_query
from retrieval.index.lexical.reader import LexicalReader
from retrieval.index.storage.settings import LexicalSettings
from retrieval.types import Syntax
from tests.retrieval.index.lexical.samples import make_index

TEXTS = {
    "english": "The old houses of the village were built of stone, and it is said that they have stood there for ages.",
    "german": "Die alten Häuser des Dorfes sind aus Stein gebaut, und man sagt, dass sie dort seit langer Zeit stehen.",
    "french": "Les vieilles maisons du village sont faites de pierre, et on dit qu'elles existent depuis des siècles.",
}
ROWS = {language: row for row, language in enumerate(TEXTS)}
SETTINGS = LexicalSettings(language="english,german,french")


@pytest.fixture(scope="module")
def villages(tmp_path_factory: pytest.TempPathFactory) -> LexicalReader:
    return make_index(tmp_path_factory.mktemp("villages"), [*TEXTS.values(), "Gardens."], SETTINGS)


def test_each_passage_has_the_terms_of_its_language(villages: LexicalReader) -> None:
    for language, text in TEXTS.items():
        analyzer = Analyzer(language)
        terms = dict.fromkeys(analyzer.terms(analyzer.split(text)))
        scores = [villages.score(ParsedQuery("", terms=(term,)), np.array([ROWS[language]]))[0] for term in terms]
        assert min(scores) > 0
    assert villages.search(ParsedQuery("garden"), 5).rows.tolist() == [3]  # too short to tell: the first language


@pytest.mark.parametrize(
    ("query", "language"),
    [("house", "english"), ("Haus", "german"), ("maison", "french"), ("siècle", "french")],
)
def test_forms_of_a_word_match_in_its_language(villages: LexicalReader, query: str, language: str) -> None:
    assert villages.search(ParsedQuery(query), 5).rows.tolist() == [ROWS[language]]


def test_phrases_exclusions_and_errors_work_in_each_language(villages: LexicalReader) -> None:
    phrase = parse_query('"alte Häuser"', Syntax.OPERATORS)
    assert np.flatnonzero(villages.query(phrase).allowed).tolist() == [ROWS["german"]]
    without = villages.query(parse_query("village -maison", Syntax.OPERATORS))
    assert without.rank(5).rows.tolist() == [ROWS["english"]]
    assert villages.corrected(ParsedQuery("Häsuer", typos=True)) == "häuser"
    assert villages.search(ParsedQuery("maisosn", typos=True), 5).rows.tolist() == [ROWS["french"]]


def test_a_query_has_the_stop_words_of_one_language(villages: LexicalReader) -> None:
    assert villages.terms_of(ParsedQuery("what were the houses like")).stop_words == ("what", "were", "the")
    assert villages.terms_of(ParsedQuery("wo sind die alten Häuser")).stop_words == ("wo", "sind", "die")


def test_one_language_is_analyzed_as_before(tmp_path: Path) -> None:
    one = make_index(tmp_path / "one", list(TEXTS.values()), LexicalSettings(language="german"))
    assert one.search(ParsedQuery("Haus"), 5).rows.tolist() == [ROWS["german"]]
    assert one.analyzer.each == (one.analyzer,)


@pytest.mark.parametrize("language", ["english,klingon", "english,english", "english,", ""])
def test_unknown_languages_are_refused(language: str) -> None:
    with pytest.raises(InputError, match=r"stemmer|each once"):
        LexicalSettings(language=language)
