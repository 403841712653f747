"""Filters against brute force in plain Python, and what is said about those that cannot be used."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import FilterError, TooLarge
from retrieval.index.metadata.filters import compile_filter
from retrieval.types import FieldType, Rows
from retrieval.util.work_budget import WorkBudget

SCHEMA = {
    "year": FieldType.NUMBER,
    "topic": FieldType.STRINGS,
    "author": FieldType.STRING,
    "draft": FieldType.BOOLEAN,
    "date": FieldType.DATE,
    "odd name": FieldType.STRING,
}
NOW = datetime(2024, 5, 2, 12, tzinfo=UTC)
ARROW = {
    FieldType.NUMBER: pa.float64(),
    FieldType.STRINGS: pa.list_(pa.string()),
    FieldType.STRING: pa.string(),
    FieldType.BOOLEAN: pa.bool_(),
    FieldType.DATE: pa.timestamp("us", "UTC"),
}
DOCUMENTS: list[dict[str, Any]] = [
    {"year": 2019.0, "topic": ["nlp", "ir"], "author": "Ada", "date": datetime(2024, 4, 30, 23, 59, tzinfo=UTC)},
    {"year": 2020.0, "topic": ["vision"], "draft": True, "date": datetime(2024, 5, 1, tzinfo=UTC)},
    {"year": -1.5, "topic": [], "draft": False, "date": datetime(2024, 5, 1, 12, tzinfo=UTC), "odd name": "it's"},
    {"author": 'say "hi"', "date": datetime(2024, 5, 2, tzinfo=UTC)},
    {},
]


def columns(documents: list[dict[str, Any]]) -> Callable[[str], pa.ChunkedArray]:
    """Each field as a column of two chunks, as a collection of two segments has it."""
    half = len(documents) // 2

    def column(field: str) -> pa.ChunkedArray:
        kind = ARROW[SCHEMA[field]]
        parts = [[each.get(field) for each in part] for part in (documents[:half], documents[half:])]
        return pa.chunked_array([pa.array(part, kind) for part in parts], kind)

    return column


def rows_of(ids: Sequence[str]) -> Rows:
    """The rows of documents whose ids are d0, d1 and so on."""
    return np.array([int(each[1:]) for each in ids if re.fullmatch("d[0-4]", each)], np.int64)


def matching(expression: str) -> list[int]:
    found = compile_filter(expression, SCHEMA, NOW).documents(columns(DOCUMENTS), len(DOCUMENTS), rows_of)
    assert found.dtype == np.bool_
    return np.flatnonzero(found).tolist()


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("year >= 2019", [0, 1]),
        ("year = 2019 OR year = -1.5", [0, 2]),
        ("year == 2.019e3", [0]),
        ("year != 2019", [1, 2, 3, 4]),
        ("NOT year < 2020", [1, 3, 4]),
        ('topic = "ir"', [0]),
        ('ids("d2", d0)', [0, 2]),
        ("IDS ( 'd1' ) AND year > 0", [1]),
        ("ids()", []),
        ("NOT ids()", [0, 1, 2, 3, 4]),
        ("ids(d9, 7, 2024-05-01, TRUE) OR author EXISTS", [0, 3]),
        ('author STARTS WITH "aD" IGNORE CASE', [0]),
        ('author CONTAINS "HI" ignore case AND year NOT EXISTS', [3]),
        ('topic CONTAINS "IS" IGNORE CASE', [1]),
        ('author NOT CONTAINS "A." IGNORE CASE', [0, 1, 2, 3, 4]),
        ("topic = ir", [0]),
        ("topic IN [\"ir\", 'vision']", [0, 1]),
        ("topic not in [ir]", [1, 2, 3, 4]),
        ("topic EXISTS", [0, 1]),
        ("author NOT EXISTS", [1, 2, 4]),
        ('author = "say \\"hi\\""', [3]),
        ("author >= 'B'", [3]),
        ("draft", [1]),
        ("NOT draft", [0, 2, 3, 4]),
        ("draft = false", [2]),
        ("draft IN [TRUE, FALSE]", [1, 2]),
        ("\"odd name\" = 'it\\'s'", [2]),
        ("date < 2024-05-01", [0]),
        ("date <= 2024-05-01", [0, 1, 2]),
        ("date = 2024-05-01", [1, 2]),
        ("date > 2024-05-01", [3]),
        ("date >= 2024-05-01", [1, 2, 3]),
        ("date = 2024-05-01T12:00:00Z", [2]),
        ("date = 2024-05-01 14:00+02:00", [2]),
        ('date IN [2024-04-30, "2024-05-02"]', [0, 3]),
        ('date = "20240501"', [1, 2]),
        ('date <= "2024-W18-3"', [0, 1, 2]),
        ('date = "20240501T120000Z"', [2]),
        ("year < 9007199254740992", [0, 1, 2]),
        ("date <= 9999-12-31T00:00", [0, 1, 2, 3]),
        ("date <= 9999-12-31", [0, 1, 2, 3]),
        ("date > 9999-12-31", []),
        ("date > now-1d", [3]),
        ("date >= now - 24h", [2, 3]),
        ("date < NOW-2160m", [0]),
        ("date < now", [0, 1, 2, 3]),
        ("date > now", []),
        ("date <= now + 1w", [0, 1, 2, 3]),
        ('date IN ["now-86400s", now-12h]', [2, 3]),
        ("author STARTS WITH 'A'", [0]),
        ("author starts with ''", [0, 3]),
        ("author NOT STARTS WITH A", [1, 2, 3, 4]),
        ("topic STARTS WITH vis", [1]),
        ("topic CONTAINS 'lp'", [0]),
        ("topic NOT CONTAINS i", [2, 3, 4]),
        ('"odd name" contains "t\'s"', [2]),
        ("author CONTAINS 'a'", [0, 3]),
        ("author CONTAINS 'ADA'", []),
        ("author = now", []),
        ("year EXISTS and (draft or author exists)", [0, 1]),
        ("draft OR year = 2019 AND topic = vision", [1]),
        ("NOT (NOT (draft))", [1]),
    ],
)
def test_meaning(expression: str, expected: list[int]) -> None:
    assert matching(expression) == expected


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("", "column 1: expected a field name, found the end"),
        ("   ", "expected a field name"),
        ("year >=", "column 8: expected a value"),
        ("year >= AND", "column 9: expected a value"),
        ("year 2019", "column 6: expected a comparison"),
        ("year = 1 year = 2", "column 10: expected AND, OR or the end"),
        ("(year = 1", "column 10: expected AND, OR or ')'"),
        ("year = 1)", "column 9: expected AND, OR or the end"),
        ("topic IN nlp", "column 10: expected '['"),
        ("topic IN []", "column 11: expected a value"),
        ("topic IN [nlp", "column 14: expected ',' or ']'"),
        ("topic NOT nlp", "column 11: expected IN, EXISTS, STARTS WITH or CONTAINS"),
        ("topic STARTS nlp", "column 14: expected WITH, found 'nlp'"),
        ("year CONTAINS '2'", "column 1: 'year' is a number field, and CONTAINS compares text"),
        ("author STARTS WITH 3", "compared with text in quotes, not 3"),
        ("date > now-7x", "column 1: 'now-7x' is not a date"),
        ("date > now-999999999w", "column 1: 'now-999999999w' is outside the years 1 to 9999"),
        ("year > now", "a number, not 'now'"),
        ("author = 'Ada", "column 10: the quote ' is never closed"),
        (f"year = {'1' * 5000}", "column 8: a number field cannot represent 1111"),
        ("year = 9007199254740993", "column 8: a number field cannot represent 9007199254740993 exactly"),
        ("year = 20x9", "column 8: '20x9' is neither a number nor a date"),
        ("year ~ 3", "column 6: unexpected '~'"),
        ("date = 2024-02-30", "column 8: '2024-02-30' is not a date"),
        ("AND year = 1", "column 1: expected a field name, found 'AND'"),
        ("yaer > 2019", "column 1: unknown field 'yaer'; did you mean 'year'?"),
        ("zzzzzz > 2019", "unknown field 'zzzzzz'; the fields are 'author'"),
        ('year > "abc"', "'year' is a number field, so it is compared with a number, not 'abc'"),
        ("author = 3", "'author' is a string field"),
        ("topic IN [nlp, 3]", "'topic' is a strings field"),
        ("draft > FALSE", "has no order"),
        ("draft = maybe", "TRUE or FALSE"),
        ("date > 2024", "a date such as 2024-05-01, not 2024"),
        ("year = 2024-05-01", "a number, not 2024-05-01"),
        ("year", "compared with a number, not TRUE"),
        ("author = '\ud800'", "surrogate"),
        ("(" * 100 + "draft" + ")" * 100, "nested more than 64 deep"),
        ("NOT " * 5000 + "draft", "nested more than 64 deep"),
        (" OR ".join(["draft"] * 300), "more than 256 conditions"),
        ("draft OR " * 20_000 + "draft", "characters; shorten it to 65,536"),
        ('"' * 9_999, "never closed"),
    ],
)
def test_what_cannot_be_used(expression: str, words: str) -> None:
    with pytest.raises(FilterError) as caught:
        compile_filter(expression, SCHEMA)
    assert words in str(caught.value)


def test_a_collection_without_fields_says_so() -> None:
    with pytest.raises(FilterError, match="the collection has no metadata fields"):
        compile_filter("year = 1", {})


def test_deep_nesting_within_the_cap() -> None:
    assert matching("(" * 60 + "draft" + ")" * 60) == [1]


NAMES = ["a", "b", "A'\"\\"]
DAYS = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=12 * i) for i in range(6)]
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "year": st.sampled_from([0.0, 1.0, 2.5, -3.0]),
    "topic": st.lists(st.sampled_from(NAMES), max_size=3),
    "author": st.sampled_from(NAMES),
    "draft": st.booleans(),
    "date": st.sampled_from(DAYS),
}
Predicate = Callable[[dict[str, Any]], bool]
TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda x, y: x == y,
    "<": lambda x, y: x < y,
    "<=": lambda x, y: x <= y,
    ">": lambda x, y: x > y,
    ">=": lambda x, y: x >= y,
}


PIECES = ["", "a", "A'", '"', "\\"]
SEARCHES: dict[str, Callable[[str, str], bool]] = {"STARTS WITH": str.startswith, "CONTAINS": str.__contains__}


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@st.composite
def conditions(draw: st.DrawFn) -> tuple[str, Predicate]:
    """A condition as text, and as a plain function of a document."""
    field = draw(st.sampled_from(sorted(VALUES)))
    shape = draw(st.sampled_from(["compare", "in", "exists", "text"]))
    if shape == "exists":
        return f"{field} EXISTS", lambda document: document.get(field) not in (None, [])
    if shape == "text":
        field, operator, piece = (
            draw(st.sampled_from(each)) for each in (["topic", "author"], sorted(SEARCHES), PIECES)
        )
        return f"{field} {operator} {quoted(piece)}", any_value(field, lambda each: SEARCHES[operator](each, piece))
    value = draw(st.sampled_from(NAMES)) if field in ("topic", "author") else draw(VALUES[field])
    written = (
        draw(st.sampled_from([value.strftime("%Y-%m-%d %H:%M"), f"now{(value - DAYS[2]) // timedelta(hours=1):+}h"]))
        if isinstance(value, datetime)
        else quoted(value)
        if isinstance(value, str)
        else str(value)
    )
    operator = "=" if shape == "in" or field == "draft" else draw(st.sampled_from(sorted(TESTS)))
    matches = any_value(field, lambda each: TESTS[operator](each, value))
    return (f"{field} IN [{written}, {written}]" if shape == "in" else f"{field} {operator} {written}"), matches


def any_value(field: str, holds: Callable[[Any], bool]) -> Predicate:
    """Whether a value of the field, or an element of its list, has a property."""

    def matches(document: dict[str, Any]) -> bool:
        mine = document.get(field)
        return any(holds(each) for each in (mine if isinstance(mine, list) else [mine]) if each is not None)

    return matches


def combined(inner: st.SearchStrategy[tuple[str, Predicate]]) -> st.SearchStrategy[tuple[str, Predicate]]:
    def join(pair: tuple[tuple[str, Predicate], tuple[str, Predicate]], conjunction: bool) -> tuple[str, Predicate]:
        (one, f), (other, g) = pair
        if conjunction:
            return f"({one}) AND ({other})", lambda document: f(document) and g(document)
        return f"({one}) or ({other})", lambda document: f(document) or g(document)

    return st.builds(join, st.tuples(inner, inner), st.booleans()) | inner.map(
        lambda pair: (f"NOT ({pair[0]})", lambda document: not pair[1](document))
    )


@settings(max_examples=300, deadline=None)
@given(
    st.recursive(conditions(), combined, max_leaves=8),
    st.lists(st.fixed_dictionaries({}, optional=VALUES), max_size=12),
)
def test_same_as_brute_force(expression: tuple[str, Predicate], documents: list[dict[str, Any]]) -> None:
    text, matches = expression
    found = compile_filter(text, SCHEMA, DAYS[2]).documents(columns(documents), len(documents), rows_of)
    assert found.tolist() == [matches(document) for document in documents]


@settings(max_examples=500, deadline=None)
@given(
    st.text(alphabet=st.sampled_from("year draft()[]=<>!,\"'\\ANDORNTI 20-.\n\x00e日"), max_size=40)
    | st.text(max_size=30)
)
def test_any_text_is_a_filter_or_a_filter_error(text: str) -> None:
    with contextlib.suppress(FilterError):
        compile_filter(text, SCHEMA).documents(columns(DOCUMENTS), len(DOCUMENTS), rows_of)


def test_alternatives_of_a_text_field_take_one_pass() -> None:
    names = " OR ".join(f'topic = "t{number}" OR author = "a{number}"' for number in range(50))
    budget = WorkBudget(filter_values=3 * len(DOCUMENTS))
    with budget.applied():
        found = compile_filter(f'{names} OR topic = "ir" OR year < 0', SCHEMA).documents(
            columns(DOCUMENTS), len(DOCUMENTS), rows_of
        )
    assert budget.spent_filter_values == 3 * len(DOCUMENTS)
    assert np.flatnonzero(found).tolist() == [0, 2]


def test_text_that_is_searched_counts_by_its_size() -> None:
    long = pa.chunked_array([["x" * 80_000]])
    with WorkBudget(filter_values=9_000).applied(), pytest.raises(TooLarge, match=r"filter_values"):
        compile_filter("author CONTAINS y", SCHEMA).documents(lambda _: long, 1, rows_of)
    with WorkBudget(filter_values=9_000).applied():
        assert compile_filter("author STARTS WITH x", SCHEMA).documents(lambda _: long, 1, rows_of).tolist() == [True]


def test_now_is_one_moment_for_the_whole_filter() -> None:
    documents = [{"date": datetime.now(UTC)}]
    found = compile_filter("date < now OR date >= now", SCHEMA).documents(columns(documents), 1, rows_of)
    assert found.tolist() == [True]
