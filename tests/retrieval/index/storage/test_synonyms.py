"""Rules of synonyms: lines read and written."""

from __future__ import annotations

import pytest

from retrieval.errors import InputError
from retrieval.index.storage.synonyms import MAX_RULES, SynonymRule, check_synonyms, parse_synonyms


def test_lines_are_read_and_written() -> None:
    rules = parse_synonyms(
        ["# shop", "", "tv,television", "sneakers  => running   shoes, trainers # both", "tv, television"]
    )
    assert rules == (SynonymRule(("tv", "television")), SynonymRule(("sneakers",), ("running shoes", "trainers")))
    lines = [rule.line for rule in rules]
    assert lines == ["tv, television", "sneakers => running shoes, trainers"]
    assert parse_synonyms(lines) == rules


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("tv", "line 2: the synonyms 'tv' have 1 phrases; a rule has two to 64"),
        ("tv, ", "line 2: the synonym '' cannot be used"),
        ("tv =>", "line 2: 'tv =>' has nothing after =>"),
        ("=> tv, television", "line 2: the synonym '' cannot be used"),
        ("a => b => c", "line 2: the synonym 'b => c' cannot be used"),
        (f"tv, {'x' * 101}", "give 1 to 100 characters"),
        (",".join(map(str, range(65))), "have 65 phrases"),
    ],
)
def test_wrong_lines_are_named(line: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_synonyms(["a, b", line])


def test_the_number_of_rules_is_bounded() -> None:
    rules = [SynonymRule((str(i), "x")) for i in range(MAX_RULES + 1)]
    with pytest.raises(InputError, match="10,001 rules of synonyms with 48,896 characters; a collection has at most"):
        check_synonyms(rules)
