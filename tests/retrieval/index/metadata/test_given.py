"""Metadata come back as they were given."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.readers.base.options import ReadOptions
from indexer.readers.formats.records import document_from
from indexer.writing.change_detection import check_documents
from retrieval.errors import BadDocument
from retrieval.index.metadata.given import MAX_DEPTH, shown_metadata
from retrieval.index.metadata.schema import extend_schema
from retrieval.types import Document

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(-1e300, 1e300) | TEXT
VALUES = st.recursive(
    SCALARS | st.sampled_from(["2024-05-01", "2024-05-01T10:00:00Z", "", "true", "7"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
NAMES = TEXT.filter(lambda name: name not in ("id", "text", "title", "metadata"))


def stored(metadata: dict[str, Any], others: tuple[dict[str, Any], ...] = ()) -> Document:
    """Return a document with these metadata as a collection has it, beside others."""
    records = [{"id": "d", "text": "t", "metadata": each} for each in (metadata, *others)]
    documents = [document_from(record, ReadOptions()) for record in records]
    schema = extend_schema({}, [document.metadata for document in documents])
    return check_documents(documents, schema).documents[0]


@settings(deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=4), st.dictionaries(NAMES, VALUES, max_size=4))
def test_any_json_comes_back(metadata: dict[str, Any], other: dict[str, Any]) -> None:
    found = json.loads(json.dumps(shown_metadata(stored(metadata, (other,)))))
    assert found == metadata
    kinds = {name: type(value) for name, value in metadata.items() if isinstance(value, bool | str)}
    assert {name: type(found[name]) for name in kinds} == kinds


@pytest.mark.parametrize(
    "metadata",
    [
        {"year": 2019, "price": 2.5, "draft": True, "topic": "a"},
        {"tags": ["a", "b"], "sizes": [1, 2.5], "flags": [True, False]},
        {"modified": "2024-05-01T10:00:00+00:00"},
        {},
    ],
)
def test_nothing_is_kept_twice(metadata: dict[str, Any]) -> None:
    assert stored(metadata).given == ""


def test_a_date_of_python_stays_one() -> None:
    when = datetime(2024, 5, 1, 12, tzinfo=UTC)
    [document] = check_documents(
        [Document("d", "t", metadata={"when": when})], extend_schema({}, [{"when": when}])
    ).documents
    assert shown_metadata(document) == {"when": when}


def test_fields_are_chosen_by_their_column() -> None:
    document = stored({"day": "2024-05-01", "author": {"name": "Ada"}, "sizes": [1, 2], "none": None})
    assert shown_metadata(document, ["day", "author.name"]) == {"day": "2024-05-01", "author.name": "Ada"}
    assert shown_metadata(document, []) == {}


def test_integers_that_no_writer_of_json_knows_are_text() -> None:
    assert shown_metadata(stored({"one": 2**70 + 1, "list": [2**70 + 1]})) == {
        "one": str(2**70 + 1),
        "list": [str(2**70 + 1)],
    }


def test_deep_lists_are_refused() -> None:
    value: Any = 1
    for _ in range(MAX_DEPTH):
        value = [value]
    with pytest.raises(BadDocument, match="nested too deeply"):
        stored({"deep": value})


def test_names_and_values_of_nulls_and_lists_are_text() -> None:
    with pytest.raises(BadDocument, match="surrogate"):
        stored({"a": {"\ud800": None}})
