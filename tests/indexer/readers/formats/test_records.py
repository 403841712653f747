"""Records become documents in bounded memory, whatever their names and depths are."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest

from indexer.readers.base.options import ReadOptions
from indexer.readers.formats.records import MAX_DEPTH, document_from
from retrieval.errors import BadDocument, SchemaError
from retrieval.index.metadata.schema import MAX_FIELDS, MAX_NAME_CHARACTERS, extend_schema, typed_metadata
from retrieval.types import FieldType


def nested(levels: int, name: str = "a") -> dict[str, Any]:
    value: Any = 1
    for _ in range(levels):
        value = {name: value}
    return value  # type: ignore[no-any-return]


def read(metadata: Any, **fields: Any) -> dict[str, Any]:
    return dict(document_from({"id": "a", "text": "x", "metadata": metadata, **fields}, ReadOptions()).metadata)


def test_metadata_within_the_bounds_are_kept() -> None:
    assert read({"a": {"b": 1, "c": {"d": ["x"]}}, "e": None, "": 2}) == {"a.b": 1, "a.c.d": ("x",)}
    assert len(read({str(number): number for number in range(MAX_FIELDS)})) == MAX_FIELDS
    assert list(read({"n" * MAX_NAME_CHARACTERS: 1})) == ["n" * MAX_NAME_CHARACTERS]
    assert list(read(nested(MAX_DEPTH))) == [".".join("a" * MAX_DEPTH)]
    assert read({str(number): None for number in range(5_000)}) == {}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"k" * 10_000: {str(number): 1 for number in range(60_000)}}, "has 10,000 characters; 512 is the limit"),
        ({"k" * 500: {str(number) * 5: 1 for number in range(60_000)}}, "512 is the limit"),
        ({"k" * 500: {str(number): 1 for number in range(60_000)}}, "more than 1,000 metadata fields"),
        ({str(number): 1 for number in range(60_000)}, "more than 1,000 metadata fields"),
        ({str(number): {"x": {"y": 1}} for number in range(60_000)}, "more than 1,000 metadata fields"),
        (nested(MAX_DEPTH + 1), "nested more than 16 levels deep"),
        (nested(300), "nested more than 16 levels deep"),
        (nested(3, "n" * 300), "512 is the limit"),
    ],
)
def test_names_fields_and_depth_are_bounded_before_names_are_joined(fields: dict[str, Any], says: str) -> None:
    for record in ({"metadata": fields}, fields):
        tracemalloc.start()
        with pytest.raises(BadDocument) as caught:
            document_from({"id": "a", "text": "x", **record}, ReadOptions())
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert says in str(caught.value)
        assert len(str(caught.value)) < 500
        assert peak < 8 << 20


def test_long_names_and_values_are_cut_in_messages() -> None:
    wide = {"n" * 100_000 + str(number): 1 for number in range(50)}
    for record in ({"id": ["x" * 100_000], "text": "x"}, {"text": "x", **wide}, {"id": "a", **wide}):
        with pytest.raises(BadDocument) as caught:
            document_from(record, ReadOptions())
        assert len(str(caught.value)) < 2_000


def test_a_deep_list_is_a_bad_document() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(BadDocument, match="nested too deeply"):
        read({"list": [deep]})
    while deep:
        deep = deep.pop()  # else its end would recurse
    assert read({"list": [[1], [{"a": 2}]]}) == {"list": (json.dumps([1]), json.dumps([{"a": 2}]))}


def test_fields_of_objects_in_a_list_become_lists() -> None:
    authors = [{"name": "Ada", "born": 1815}, {"name": "Bob", "at": {"city": "Rom"}}, None, {}, {"name": ["C", "D"]}]
    assert read({"authors": authors}) == {
        "authors.name": ("Ada", "Bob", "C", "D"),
        "authors.born": (1815,),
        "authors.at.city": ("Rom",),
    }
    assert read({"mixed": [1, {"a": 2}, "x", {"a": [{"b": 3}, {"b": 4}]}]}) == {
        "mixed": (1, "x"),
        "mixed.a": (2,),
        "mixed.a.b": (3, 4),
    }


def test_objects_in_lists_are_bounded() -> None:
    deep: Any = {"a": 1}
    for _ in range(20):
        deep = [{"a": deep}]
    with pytest.raises(BadDocument, match="nested more than 16 levels deep"):
        read({"list": deep})
    with pytest.raises(BadDocument, match="more than 1,000 metadata fields"):
        read({"list": [{f"f{i}": 1} for i in range(1001)]})


def test_a_schema_takes_no_long_names_and_names_few_fields() -> None:
    with pytest.raises(SchemaError, match="513 characters; 512 is the limit"):
        extend_schema({}, [{"n" * 513: 1}])
    known = {"n" * 513: FieldType.NUMBER}
    assert extend_schema(known, [{"n" * 513: 1}]) == known  # of an older collection
    many = {f"field{number}": FieldType.NUMBER for number in range(MAX_FIELDS)}
    with pytest.raises(SchemaError, match="'other' is not in the schema") as caught:
        typed_metadata({"other": 1}, many, "a")
    assert len(str(caught.value)) < 500
