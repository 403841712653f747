"""Metadata fields: inferred, given, checked."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from retrieval.errors import SchemaError
from retrieval.index.metadata.schema import extend_schema, parse_schema, plain_number, typed_metadata
from retrieval.types import FieldType


def test_types_are_inferred_from_all_values() -> None:
    documents = [
        {"year": 1999, "topic": "nlp", "draft": False, "day": "2024-05-01", "tags": ["a"]},
        {"year": 2.5, "topic": "2024-05-01", "day": "2024-05-01T10:00:00Z", "tags": "b", "new": None},
        {"mixed": 1, "when": date(2024, 5, 1)},
        {"mixed": "one"},
    ]
    assert extend_schema({}, documents) == {
        "day": FieldType.DATE,
        "draft": FieldType.BOOLEAN,
        "mixed": FieldType.STRING,
        "tags": FieldType.STRINGS,
        "topic": FieldType.STRING,
        "when": FieldType.DATE,
        "year": FieldType.NUMBER,
    }


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([[2019, 2.5], [2020]], "numbers"),
        ([[2019], 2020], "numbers"),
        ([[], [2019]], "numbers"),
        ([[2019], ["a"]], "strings"),
        ([[2019, "a"]], "strings"),
        ([[True, False]], "booleans"),
        ([[True, 1]], "strings"),
        ([["2024-05-01", date(2024, 5, 2)]], "dates"),
        ([["2024-05-01"], "soon"], "strings"),
        ([[2**60 + 1]], "strings"),
        ([["2024-05-01", ""]], "dates"),
        (["2024-05-01", ""], "date"),
        (["", 3], "number"),
        (["  ", True], "boolean"),
        ([True, 1], "string"),
        ([""], "string"),
        ([[""]], "strings"),
        ([[], ""], "strings"),
        ([[]], None),
        ([None, [None]], None),
    ],
)
def test_types_of_lists_and_of_blank_text(values: list[Any], kind: str | None) -> None:
    documents = [{"field": value} for value in values]
    schema = extend_schema({}, documents)
    assert schema == ({"field": FieldType(kind)} if kind else {})
    for document in documents:
        typed_metadata(document, schema, "d")


@pytest.mark.parametrize("number", [2**53 + 1, -(2**53) - 1, 1234567890123456789, 10**400])
def test_whole_numbers_that_a_double_does_not_hold_are_text(number: int) -> None:
    schema = extend_schema({}, [{"id": 1}, {"id": number}])
    assert schema == {"id": FieldType.STRING}
    assert typed_metadata({"id": number}, schema, "d") == {"id": str(number)}
    assert extend_schema({}, [{"size": 2**53}, {"size": 2**60}, {"size": 1.5e300}]) == {"size": FieldType.NUMBER}


def test_known_fields_keep_their_type() -> None:
    assert extend_schema({"year": FieldType.STRING}, [{"year": 1}]) == {"year": FieldType.STRING}


def test_a_field_that_is_no_value_is_refused() -> None:
    with pytest.raises(SchemaError, match=r"field 'author': \{'name': 'Ada'\} is neither"):
        extend_schema({}, [{"author": {"name": "Ada"}}])


@pytest.mark.parametrize("text", ["20240501", "2024", "2024-13-01", "2024-05-01x", "12-05-2024", ""])
def test_what_only_looks_like_a_date_is_a_string(text: str) -> None:
    assert extend_schema({}, [{"day": text}]) == {"day": FieldType.STRING}


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("string", 3, "3"),
        ("string", 3.0, "3"),
        ("string", 10**20, "100000000000000000000"),
        ("string", True, "true"),
        ("string", date(2024, 5, 1), "2024-05-01"),
        ("number", "2.5", 2.5),
        ("number", 7, 7.0),
        ("boolean", "Yes", True),
        ("date", "2024-05-01", datetime(2024, 5, 1, tzinfo=UTC)),
        ("date", date(2024, 5, 1), datetime(2024, 5, 1, tzinfo=UTC)),
        ("date", "2024-05-01T12:00:00+02:00", datetime(2024, 5, 1, 10, tzinfo=UTC)),
        ("strings", "one", ("one",)),
        ("strings", ["a", 2], ("a", "2")),
        ("strings", [], ()),
        ("numbers", [1, "2.5"], (1.0, 2.5)),
        ("numbers", 3, (3.0,)),
        ("booleans", [True, "no"], (True, False)),
        ("dates", ["2024-05-01", None], (datetime(2024, 5, 1, tzinfo=UTC),)),
    ],
)
def test_values_become_what_their_field_is(kind: str, value: Any, expected: Any) -> None:
    assert typed_metadata({"field": value}, {"field": FieldType(kind)}, "d") == {"field": expected}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("string", ["a"]),
        ("string", "\ud800"),
        ("number", "soon"),
        ("number", True),
        ("number", float("nan")),
        ("number", "1e999"),
        ("number", [1]),
        ("number", 2**53 + 1),
        ("number", "9007199254740993"),
        ("number", 10**400),
        ("boolean", 1),
        ("boolean", "maybe"),
        ("date", "yesterday"),
        ("date", 2024),
        ("strings", [["a"]]),
        ("strings", {"a": 1}),
    ],
)
def test_values_that_do_not_fit_name_document_field_and_value(kind: str, value: Any) -> None:
    with pytest.raises(SchemaError, match=rf"document 'd7': field 'f' is a {kind}, and .* is not"):
        typed_metadata({"f": value}, {"f": FieldType(kind)}, "d7")


@pytest.mark.parametrize(
    ("kind", "value"), [("number", ""), ("date", " "), ("boolean", ""), ("numbers", ""), ("number", []), ("string", [])]
)
def test_blank_text_and_empty_lists_are_missing_values(kind: str, value: Any) -> None:
    assert typed_metadata({"f": value}, {"f": FieldType(kind)}, "d7") == {}


def test_nulls_are_left_out_and_unknown_fields_refused() -> None:
    assert typed_metadata({"a": None, "b": None}, {"a": FieldType.NUMBER}, "d") == {}
    with pytest.raises(SchemaError, match=r"field 'b' is not in the schema \(fields: a\)"):
        typed_metadata({"b": 1}, {"a": FieldType.NUMBER}, "d")


@pytest.mark.parametrize(
    ("value", "shown"), [(2001.0, "2001"), (2.5, "2.5"), (-0.0, "0"), (2.0**53, "9007199254740992.0"), (True, "True")]
)
def test_whole_numbers_are_shown_as_people_write_them(value: float, shown: str) -> None:
    assert repr(plain_number(value)) == shown


def test_a_schema_can_be_written_as_text() -> None:
    assert parse_schema("year=number, topic=strings") == {"year": FieldType.NUMBER, "topic": FieldType.STRINGS}
    with pytest.raises(SchemaError, match="schema 'year=integer': write FIELD=TYPE"):
        parse_schema("year=integer")
