"""A faulty change fails alone, and the others are applied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.building.collection_lifecycle import create_collection
from indexer.building.document_changes import ChangeReport, CollectionChange, apply_changes
from indexer.maintenance.rollback import log_entries
from indexer.writing.pending_generation import SegmentLimits
from indexer.writing.resume_journal import read_journal
from indexer.writing.segment_merge import MergePolicy
from indexer.writing.writer import Writer
from retrieval.encoder.checkpoint.hub import DEFAULT
from retrieval.encoder.loading import load_encoder
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.errors import BadDocument, SchemaError
from retrieval.index.collection.index_reader import open_index_reader
from retrieval.index.storage.manifest import read_manifest
from retrieval.types import Document, Passage


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    return load_encoder(DEFAULT)


@pytest.fixture
def collection(folder: Path, encoder: SentenceEncoder) -> Path:
    """Five documents, "d0" to "d4"."""
    create_collection(folder / "c", encoder)
    apply_changes(
        folder / "c", encoder, [CollectionChange(tuple(Document(f"d{n}", f"document {n}") for n in range(5)))]
    )
    return folder / "c"


def ids(path: Path) -> list[str]:
    with open_index_reader(path) as reader:
        return sorted(reader.ids(np.flatnonzero(reader.live_documents)))


HALF = "half \ud800 of a pair"


@pytest.mark.parametrize(
    "bad",
    [
        CollectionChange((Document("good", "text"), Document("bad", HALF))),
        CollectionChange((Document("good", "text"), Document("bad", "text", HALF))),
        CollectionChange((Document("good", "text"), Document(HALF, "text"))),
        CollectionChange((Document("good", "text"), Document("bad", "text", metadata={"topic": HALF, "new": 1}))),
        CollectionChange((Document("good", "text", metadata={"new": 1}), Document("", "text"))),
        CollectionChange((Document("good", "text", metadata={"new": 1}),), deletes=(HALF,)),
    ],
)
def test_a_change_at_fault_fails_alone(collection: Path, encoder: SentenceEncoder, bad: CollectionChange) -> None:
    fine = CollectionChange((Document("fine", "more text", metadata={"new": "a word"}),), deletes=("d0",))
    before, error, after = apply_changes(collection, encoder, [CollectionChange(deletes=("d1",)), bad, fine])
    assert before == ChangeReport(generation=3, deleted=1)
    assert isinstance(error, BadDocument | SchemaError)
    assert str(error).isprintable()
    assert after == ChangeReport(generation=3, added=1, deleted=1)
    assert ids(collection) == ["d2", "d3", "d4", "fine"]
    assert dict(read_manifest(collection).schema) == {"new": "string"}


def test_of_two_documents_with_one_id_the_later_is_written(collection: Path, encoder: SentenceEncoder) -> None:
    twice = CollectionChange((Document("a", "one"), Document("d1", "document 1"), Document("a", "two")))
    assert apply_changes(collection, encoder, [twice]) == [ChangeReport(generation=3, added=1, unchanged=1)]
    with open_index_reader(collection) as reader:
        row = reader.find("a")
        assert row is not None
        assert reader.documents([row])[0].text == "two"


def test_a_change_that_only_merges_says_so(collection: Path, encoder: SentenceEncoder) -> None:
    with Writer(collection, policy=MergePolicy(dead_share=0.99)) as writer:
        writer.delete(["d1", "d2", "d3"])
        writer.commit()
    assert apply_changes(collection, encoder, [CollectionChange((Document("d0", "document 0"),))])[0].generation == 4  # type: ignore[union-attr]
    assert log_entries(collection)[0].cause == "merge"


@pytest.mark.parametrize(
    "change",
    [
        CollectionChange(deletes=("d1",)),
        CollectionChange((Document("d0", "document 0"),)),
        CollectionChange((Document("d0", "document 0"),), deletes=("d1",)),
        CollectionChange((Document("", "text"),)),
    ],
)
def test_a_change_without_new_passages_leaves_an_interrupted_build_alone(
    collection: Path, encoder: SentenceEncoder, change: CollectionChange
) -> None:
    documents = [Document(f"n{n}", f"new {n}") for n in range(8)]

    def build(*, stop: bool) -> Any:
        with Writer(collection, limits=SegmentLimits(passages=4)) as writer:
            for some in (documents[:4], documents[4:]):
                new = [each for each, known in zip(some, writer.unchanged(some), strict=True) if not known]
                passages = [[Passage(0, len(each.text))] for each in new]
                writer.add(new, passages, encoder.encode_passages([each.text for each in new]))
            if stop:
                raise KeyboardInterrupt
            writer.commit()
            return writer.counts

    with pytest.raises(KeyboardInterrupt):
        build(stop=True)
    apply_changes(collection, encoder, [change])
    assert read_journal(collection) is not None
    counts = build(stop=False)
    assert (counts.resumed, counts.added) == (8, 0)
    assert read_journal(collection) is None
    assert {each.id for each in documents} <= set(ids(collection))
