"""Partial updates of documents, with a real encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.building.collection_lifecycle import create_collection
from indexer.building.document_changes import ChangeReport, CollectionChange, apply_changes, update_documents
from indexer.building.document_patches import DocumentPatch, merge_patch
from retrieval.encoder.checkpoint.hub import DEFAULT
from retrieval.encoder.loading import load_encoder
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.errors import BadDocument, DocumentNotFound, SchemaError
from retrieval.index.collection.index_reader import open_index_reader
from retrieval.index.metadata.given import shown_metadata
from retrieval.index.storage.manifest import read_manifest
from retrieval.types import Document, Section


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    return load_encoder(DEFAULT)


@pytest.fixture
def shop(folder: Path, encoder: SentenceEncoder) -> Path:
    """A jacket, a shoe, and a manual of two sections."""
    create_collection(folder / "shop", encoder)
    sections = (Section(0, 12, "p. 1"), Section(12, 25, "p. 2"))
    documents = (
        Document("jacket", "A rain jacket.", "Jacket", {"price": 50, "sizes": ("S", "M")}),
        Document("shoe", "A running shoe.", "Shoe", {"price": 80}),
        Document("manual", "First steps. Second steps.", "Manual", {"price": 0}, sections),
    )
    apply_changes(folder / "shop", encoder, [CollectionChange(documents)])
    return folder / "shop"


def patch(shop: Path, encoder: SentenceEncoder, *patches: tuple[str, dict[str, Any]]) -> ChangeReport:
    change = CollectionChange(patches=tuple(DocumentPatch(*each) for each in patches))
    [report] = apply_changes(shop, encoder, [change])
    assert isinstance(report, ChangeReport)
    return report


def stored(shop: Path, document_id: str) -> Document:
    with open_index_reader(shop) as reader:
        return reader.documents([reader.document_row(document_id)])[0]


@pytest.mark.parametrize(
    ("target", "changes", "merged"),
    [  # RFC 7396, appendix A, those with an object on both sides
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(target: dict[str, Any], changes: dict[str, Any], merged: dict[str, Any]) -> None:
    assert merge_patch(target, changes) == merged


def test_a_new_price_encodes_nothing(shop: Path, encoder: SentenceEncoder) -> None:
    before = read_manifest(shop)
    report = patch(shop, encoder, ("jacket", {"price": 45, "sizes": None}), ("shoe", {"metadata": {"color": "red"}}))
    assert report == ChangeReport(generation=3, updated=2)
    after = read_manifest(shop)
    assert [each.files for each in after.segments] == [each.files for each in before.segments]
    assert after.lexical == before.lexical
    assert after.cause == "update 2"
    assert stored(shop, "jacket").metadata == {"price": 45}
    assert stored(shop, "shoe").metadata == {"price": 80, "color": "red"}


def test_metadata_are_merged_as_they_were_given(shop: Path, encoder: SentenceEncoder) -> None:
    patch(shop, encoder, ("shoe", {"maker": {"name": "Ada", "since": "2020-01-01"}, "note": "x"}))
    patch(shop, encoder, ("shoe", {"maker": {"name": None, "city": "Rome"}, "note": None}))
    assert shown_metadata(stored(shop, "shoe")) == {"price": 80, "maker": {"since": "2020-01-01", "city": "Rome"}}
    assert patch(shop, encoder, ("shoe", {"maker": {"city": "Rome"}})).unchanged == 1


def test_a_new_text_is_encoded_and_found(shop: Path, encoder: SentenceEncoder) -> None:
    report = patch(shop, encoder, ("shoe", {"text": "A winter boot.", "price": 90}), ("jacket", {"title": "Parka"}))
    assert report == ChangeReport(generation=3, updated=2)
    assert stored(shop, "shoe") == Document("shoe", "A winter boot.", "Shoe", {"price": 90})
    assert stored(shop, "jacket").title == "Parka"
    [vector] = encoder.encode_passages(["Shoe A winter boot."])
    with open_index_reader(shop) as reader:
        best = reader.vectors.search(vector[np.newaxis], 1, allowed=reader.live)[0]
        assert reader.ids(reader.document_of[best.rows]) == ["shoe"]
        assert best.scores[0] == pytest.approx(1, abs=1e-3)


def test_a_new_title_leaves_the_passages_of_sections(shop: Path, encoder: SentenceEncoder) -> None:
    def passages() -> list[Any]:
        with open_index_reader(shop) as reader:
            return reader.passages(np.flatnonzero(reader.document_of == reader.document_row("manual")))

    before = passages()
    assert [each.location for each in before] != [""]
    patch(shop, encoder, ("manual", {"title": "Guide"}))
    assert passages() == before


def test_patches_of_one_document_follow_each_other(shop: Path, encoder: SentenceEncoder) -> None:
    report = patch(shop, encoder, ("shoe", {"price": 1, "a": 1}), ("shoe", {"price": 2}), ("shoe", {"a": None}))
    assert report.updated == 1
    assert stored(shop, "shoe").metadata == {"price": 2}


def test_a_patch_sees_the_changes_before_it(shop: Path, encoder: SentenceEncoder) -> None:
    changes = [
        CollectionChange((Document("hat", "A felt hat.", metadata={"price": 5}),)),
        CollectionChange(patches=(DocumentPatch("hat", {"price": 6}),)),
        CollectionChange(patches=(DocumentPatch("hat", {"text": "A straw hat."}),)),
    ]
    apply_changes(shop, encoder, changes)
    assert stored(shop, "hat") == Document("hat", "A straw hat.", metadata={"price": 6})


def test_a_document_at_fault_stays_as_it_is(shop: Path, encoder: SentenceEncoder) -> None:
    report = patch(
        shop,
        encoder,
        ("sho", {"price": 1}),
        ("jacket", {"price": 1}),
        ("jacket", {"price": "a lot"}),
        ("manual", {"text": None}),
        ("shoe", {"price": 70}),
    )
    assert (report.updated, report.failed) == (1, 3)
    errors = {each.id: type(each.error) for each in report.failures}
    assert errors == {"sho": DocumentNotFound, "jacket": SchemaError, "manual": BadDocument}
    assert stored(shop, "jacket").metadata["price"] == 50
    assert stored(shop, "shoe").metadata["price"] == 70


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"id": "boot"}, "id"), ({"text": None}, "removed"), ({"text": ["a"]}, "text"), ({"metadata": 3}, "object")],
)
def test_a_bad_patch_says_why(shop: Path, encoder: SentenceEncoder, changes: dict[str, Any], message: str) -> None:
    [failure] = patch(shop, encoder, ("shoe", changes)).failures
    assert message in str(failure.error)


def test_any_number_of_patches_make_one_generation(shop: Path) -> None:
    many = (DocumentPatch(("jacket", "shoe", "none")[n % 3], {"price": n}) for n in range(9_000))
    report = update_documents(shop, many)
    assert (report.generation, report.failed, len(report.failures)) == (3, 1, 1)
    assert stored(shop, "shoe").metadata["price"] == 8_998
