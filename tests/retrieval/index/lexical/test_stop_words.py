"""Stop words of a query: the lists, and the words that stay."""

from __future__ import annotations

from pathlib import Path

import pytest
import Stemmer

from retrieval.errors import InputError
from retrieval.index.lexical.analyzer import Analyzer
from retrieval.index.lexical.phrases import ParsedQuery, parse_query
from retrieval.index.lexical.stop_words import QueryWords, StopWords, parse_stop_words, read_stop_words
from retrieval.index.storage.settings import LexicalSettings
from retrieval.types import Syntax
from tests.retrieval.index.lexical.samples import make_index


def stop_words(language: str = "english", words: str | tuple[str, ...] = "language") -> StopWords:
    settings = LexicalSettings(language=language, stop_words=words)
    return StopWords(settings, Analyzer(language))


@pytest.mark.parametrize(
    ("language", "query", "ranking", "left_out"),
    [
        ("english", "What does the Docker daemon do?", ["Docker", "daemon"], ("what", "does", "the", "do")),
        ("english", "why can't I log in, and isn’t it slow", ["log", "slow"], None),
        ("english", "T cells don't see vitamin D", ["T", "cells", "see", "vitamin", "D"], ("don't",)),
        ("english", "it's the dog's bowl", ["dog's", "bowl"], ("it's", "the")),
        ("english", "thesis its theme", ["thesis", "theme"], ("its",)),  # compared before stemming
        ("english", "is.na and C++ in a.out", ["is.na", "C++", "a.out"], ("and", "in")),
        ("porter", "the wing", ["wing"], ("the",)),
        ("german", "Wie wird der Antrag gestellt?", ["Antrag", "gestellt"], ("wie", "wird", "der")),
        ("french", "qu'est-ce que l'eau", ["eau"], ("qu", "est", "ce", "que", "l")),
        ("italian", "il sapore dell’acqua", ["sapore", "acqua"], ("il", "dell")),
        ("russian", "Что это такое и где", ["это", "такое"], None),
        ("hungarian", "ő és az alma", ["alma"], ("ő", "és", "az")),
        ("arabic", "what is the wing", ["what", "is", "the", "wing"], ()),  # Snowball has no list
        ("none", "what is the wing", ["what", "is", "the", "wing"], ()),
        (
            "english",
            "什么是个体户 of",
            ["什么", "什", "么是", "么", "是个", "是", "个体", "个", "体户", "体", "户"],
            ("of",),
        ),
    ],
)
def test_lists_of_languages(language: str, query: str, ranking: list[str], left_out: tuple[str, ...] | None) -> None:
    words = stop_words(language).divide(ParsedQuery(query))
    assert words.ranking == ranking
    assert left_out is None or words.stop_words == left_out


@pytest.mark.parametrize("query", ["to be or not to be", "who", "Don't!", "what is _?", "it's"])
def test_a_query_of_stop_words_alone_keeps_them(query: str) -> None:
    assert stop_words().divide(ParsedQuery(query)) == QueryWords(Analyzer("english").split(query))


def test_stop_words_of_a_phrase_stay() -> None:
    words = stop_words().divide(parse_query('what did "The Who" play -in', Syntax.OPERATORS))
    assert words == QueryWords(["The", "Who", "play"], ("what", "did"))


def test_none_and_a_list() -> None:
    query = ParsedQuery("the state of the art in wing-body design")
    assert len(stop_words(words="none").divide(query).ranking) == 9
    given = stop_words(words=("wing-body", "Art", "什么")).divide(query)
    assert given == QueryWords(["the", "state", "of", "the", "in", "design"], ("Art", "wing-body"))
    assert stop_words(words=("什么",)).divide(ParsedQuery("为什么")).ranking == ["为什", "为"]


@pytest.mark.parametrize("language", Stemmer.algorithms())
def test_no_list_has_a_word_twice_or_nothing(language: str) -> None:
    found = stop_words(language).divide(ParsedQuery("zyzzyva"))
    assert found == QueryWords(["zyzzyva"])


def test_files_are_as_snowballs(tmp_path: Path) -> None:
    path = tmp_path / "stop.txt"
    path.write_text("\ufeff | a comment\n\nthe   | article\nof and\nthe\n", encoding="utf-8")
    assert read_stop_words(path) == ("the", "of", "and")
    assert parse_stop_words("") == ()


@pytest.mark.parametrize(
    ("data", "message"), [(b"| nothing\n", "no words"), (b"\xff\xfe", "not UTF-8"), (None, "No such file")]
)
def test_a_file_that_is_no_list(tmp_path: Path, data: bytes | None, message: str) -> None:
    if data is not None:
        (tmp_path / "stop.txt").write_bytes(data)
    with pytest.raises(InputError, match=message):
        read_stop_words(tmp_path / "stop.txt")


def test_the_index_has_them_but_queries_leave_them_out(tmp_path: Path) -> None:
    texts = ("the cat of the house", "what is a cat", "the the the", "a dog")
    index = make_index(tmp_path, texts, LexicalSettings())
    assert index.search(ParsedQuery("what is the cat"), 10).rows.tolist() == [1, 0]
    assert index.telling_terms(ParsedQuery("what is the cat")) == {"cat"}
    assert index.search(ParsedQuery("the"), 10).rows.tolist() == [2, 0]
    phrase = parse_query('"the house"', Syntax.OPERATORS)
    assert index.search(phrase, 10).rows.tolist() == [0]
    assert [part.term for part in index.term_parts(phrase, 0)] == ["the", "hous"]
