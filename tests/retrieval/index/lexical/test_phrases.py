"""Operators of a query, and the passages of a phrase."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrieval.index.lexical.phrases import ParsedQuery, parse_query, phrase_occurrences
from retrieval.types import Syntax
from tests.retrieval.index.lexical.samples import make_segment


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("two  words", ParsedQuery("two words", (), ())),
        ('a "b c" d', ParsedQuery("a b c d", ("b c",), ())),
        ("a -b c", ParsedQuery("a c", (), ("b",))),
        ('a -"b c"', ParsedQuery("a", (), ("b c",))),
        ('"a" "a"', ParsedQuery("a a", ("a",), ())),
        ('a "b', ParsedQuery("a b", (), ())),  # no closing quote
        ("well-known -5 a - b", ParsedQuery("well-known -5 a - b", (), ())),  # no letter after the dash
    ],
)
def test_operators(text: str, parsed: ParsedQuery) -> None:
    assert parse_query(text, Syntax.OPERATORS) == parsed


@pytest.mark.parametrize("text", ["two  words", 'a "b c" -d', '"', "-a", 'a -"b c"'])
def test_plain_text_has_no_operators(text: str) -> None:
    assert parse_query(text, Syntax.PLAIN) == ParsedQuery(text)


def test_a_phrase_is_terms_at_their_distances(tmp_path: Path) -> None:
    postings = make_segment(tmp_path, ("", "the cat sat"), ("", "cat the sat"), ("the", "cat"), ("", "the the cat"))
    # not from a title into the text
    assert phrase_occurrences(postings, [("the", 0), ("cat", 1)])[0].tolist() == [0, 3]
    assert phrase_occurrences(postings, [("the", 0), ("sat", 2)])[0].tolist() == [0]
    assert phrase_occurrences(postings, [("the", 0), ("sat", 1)])[0].tolist() == [1]
    assert phrase_occurrences(postings, [("the", 0), ("the", 1)])[0].tolist() == [3]
    assert phrase_occurrences(postings, [("the", 0), ("bird", 1)])[0].tolist() == []
