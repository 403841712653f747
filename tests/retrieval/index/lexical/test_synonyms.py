"""Synonyms in queries: equal to an expansion that reads every text."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrieval.index.lexical.phrase_terms import phrase_term, terms_of_phrase
from retrieval.index.lexical.phrases import ParsedQuery, parse_query
from retrieval.index.lexical.query_terms import SYNONYM_WEIGHT
from retrieval.index.lexical.reader import LexicalReader
from retrieval.index.lexical.scorers import ExhaustiveScorer, MaxScoreScorer
from retrieval.index.storage.settings import LexicalSettings
from retrieval.index.storage.synonyms import SynonymRule
from retrieval.types import Syntax
from tests.retrieval.index.lexical.samples import PLAIN, make_index

word = st.sampled_from("abcd")
phrase = st.lists(word, min_size=1, max_size=2).map(" ".join)
text = st.lists(word, min_size=1, max_size=7).map(" ".join)
rule = st.builds(
    SynonymRule,
    st.lists(phrase, min_size=1, max_size=2, unique=True).map(tuple),
    st.lists(phrase, min_size=1, max_size=2, unique=True).map(tuple),
) | st.lists(phrase, min_size=2, max_size=3, unique=True).map(lambda words: SynonymRule(tuple(words)))


def occurrences(words: str, passage: str) -> int:
    """Count where the words stand together, by reading the passage."""
    wanted, found = words.split(), passage.split()
    return sum(found[i : i + len(wanted)] == wanted for i in range(len(found)))


def expansion(query: str, rules: Sequence[SynonymRule]) -> dict[str, set[str]]:
    """Return each synonym of the query and the words that it stands for."""
    others: dict[str, set[str]] = {}
    for each in rules:
        for words in each.words:
            others.setdefault(words, set()).update(each.synonyms or set(each.words) - {words})
    found: dict[str, set[str]] = {}
    words, position = query.split(), 0
    while position < len(words):
        size = next(
            (n for n in (2, 1) if " ".join(words[position : position + n]) in others and position + n <= len(words)), 0
        )
        for synonym in others[" ".join(words[position : position + size])] if size else ():
            found.setdefault(synonym, set()).update(words[position : position + size])
        position += size or 1
    return {synonym: stands_for for synonym, stands_for in found.items() if synonym not in words}


def expected_scores(texts: Sequence[str], query: str, rules: Sequence[SynonymRule]) -> list[float]:
    """Score every text by the definition."""
    average = sum(len(each.split()) for each in texts) / len(texts)

    def idf(words: str) -> float:
        df = sum(occurrences(words, each) > 0 for each in texts)
        return math.log1p((len(texts) - df + 0.5) / (df + 0.5))

    weights = {each: times * idf(each) for each, times in Counter(query.split()).items()}
    for synonym, stands_for in expansion(query, rules).items():
        weights[synonym] = SYNONYM_WEIGHT * min(idf(synonym), sum(map(idf, stands_for)))
    scores = []
    for passage in texts:
        norm = PLAIN.k1 * (1 - PLAIN.b + PLAIN.b * len(passage.split()) / average)
        counts = {each: occurrences(each, passage) for each in weights}
        scores.append(sum(weights[each] * (PLAIN.k1 + 1) * f / (f + norm) for each, f in counts.items() if f))
    return scores


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(text, min_size=1, max_size=8), text, st.lists(rule, max_size=3))
def test_scores_equal_brute_force(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], query: str, rules: list[SynonymRule]
) -> None:
    index = make_index(tmp_path_factory.mktemp("index"), texts, synonyms=rules)
    parsed = ParsedQuery(query, synonyms=True, typos=True)
    rows = np.arange(len(texts))
    assert index.score(parsed, rows) == pytest.approx(expected_scores(texts, query, rules), rel=1e-5)
    assert index.score(ParsedQuery(query), rows) == pytest.approx(expected_scores(texts, query, ()), rel=1e-5)
    opened = index.query(parsed)
    scorers = ExhaustiveScorer(opened.terms, opened.live_rows), MaxScoreScorer(opened.terms, opened.live_rows)
    exhaustive, pruned = (scorer.best(3, None) for scorer in scorers)
    assert (exhaustive.rows.tolist(), exhaustive.scores.tolist()) == (pruned.rows.tolist(), pruned.scores.tolist())
    shared = index.query(parsed, statistics=index.statistics(parsed))
    assert shared.score(rows).tolist() == opened.score(rows).tolist()


ENGLISH = LexicalSettings()
SHOP = (
    SynonymRule(("tv", "television")),
    SynonymRule(("sneakers",), ("running shoes", "trainers")),
    SynonymRule(("state of the art",), ("modern",)),
    SynonymRule(("wlan", "wi-fi")),
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> LexicalReader:
    texts = [
        "A television with a large screen",
        "A small TV",
        "Running shoes for a trail",
        "Shoes that are running out",
        "Trainer in white",
        "A modern lamp",
        "Wi-Fi router",
    ]
    return make_index(tmp_path_factory.mktemp("shop"), texts, ENGLISH, SHOP)


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("tv", [0, 1]),
        ("Televisions", [0, 1]),
        ("white sneakers", [2, 4]),
        ("sneaker", [2, 4]),  # a word without its ending, which no document has
        ("trainers", [4]),  # one way only
        ("lamp, state of the art", [5]),
        ("art", []),
        ("wlan", [6]),
    ],
)
def test_words_find_their_synonyms(shop: LexicalReader, query: str, rows: list[int]) -> None:
    parsed = parse_query(query, Syntax.PLAIN, typos=True, synonyms=True)
    assert sorted(shop.search(parsed, 10).rows.tolist()) == rows


def test_the_words_of_the_query_count_most(shop: LexicalReader) -> None:
    assert shop.search(ParsedQuery("tv", synonyms=True), 2).rows.tolist() == [1, 0]
    assert shop.search(ParsedQuery("tv"), 2).rows.tolist() == [1]


def test_synonyms_are_told_and_explained(shop: LexicalReader) -> None:
    query = ParsedQuery("sneakers", synonyms=True)
    [told] = shop.terms_of(query).replacements
    assert (told.word, told.text, told.terms, told.reason) == (
        *("sneakers", "sneakers", ("sneaker", "run shoe", "trainer"), "synonym"),
    )
    parts = {part.term: part.score for part in shop.term_parts(query, 2)}
    assert parts["run shoe"] == pytest.approx(float(shop.score(query, np.array([2]))[0]))
    assert shop.telling_terms(query) == {"run", "shoe", "trainer"}
    assert shop.has_all_terms(query, 2)
    assert not shop.has_all_terms(query, 3)


def test_phrases_restrict_and_their_words_have_synonyms(shop: LexicalReader) -> None:
    query = parse_query('"small tv"', Syntax.OPERATORS, synonyms=True)
    assert shop.search(query, 10).rows.tolist() == [1]
    assert "televis" in shop.terms_of(query).counts


def test_a_synonym_of_each_language_of_a_collection(tmp_path: Path) -> None:
    texts = ["The houses on the hill were sold with their gardens and the road to them is not far from here at all."]
    how = LexicalSettings(language="german,english")
    index = make_index(tmp_path, texts, how, (SynonymRule(("villa", "houses")),))
    assert index.search(ParsedQuery("villas", synonyms=True), 1).rows.tolist() == [0]


def test_characters_of_scripts_without_spaces(tmp_path: Path) -> None:
    index = make_index(tmp_path, ["买移动电话", "手机壳", "电话"], synonyms=(SynonymRule(("手机", "移动电话")),))
    assert index.search(ParsedQuery("手机", synonyms=True), 3).rows.tolist() == [1, 0]
    assert 1 in index.search(ParsedQuery("新移动电话", synonyms=True), 3).rows


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c.d", "e_f"]), st.integers(0, 3)), min_size=1, max_size=5))
def test_a_phrase_is_read_back_from_its_term(positions: list[tuple[str, int]]) -> None:
    ordered = sorted(positions, key=lambda each: each[1])
    first = ordered[0][1]
    assert terms_of_phrase(phrase_term(positions)) == [(term, position - first) for term, position in ordered]
