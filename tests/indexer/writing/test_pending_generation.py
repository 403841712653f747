"""The next generation, step by step, without a lock and a commit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.writing.change_detection import check_documents
from indexer.writing.pending_generation import PendingGeneration, SegmentLimits, WriterCounts
from indexer.writing.resume_journal import read_journal
from indexer.writing.segment_merge import MergePolicy
from indexer.writing.segment_writer import SegmentEntries
from retrieval.index.collection.document_ids import id_digests
from retrieval.index.storage.manifest import read_manifest
from retrieval.types import Document
from retrieval.util.files import Files

LONG = "a text that is long enough for two passages"


@pytest.fixture
def grown(bench: Any) -> Any:
    """Make a collection of three documents and four passages, with keys 0 to 3."""
    bench.add(bench.document("a"), bench.document("b", LONG), bench.document("c"))
    return bench


def opened(bench: Any, passages: int = 100) -> tuple[PendingGeneration, WriterCounts]:
    counts = WriterCounts()
    base = read_manifest(bench.path)
    limits = SegmentLimits(passages=passages)
    return PendingGeneration(bench.path, base, bench.settings, limits, counts, Files()), counts


def entries(bench: Any, *documents: Document) -> SegmentEntries:
    checked = check_documents(documents, {})
    unknown = np.full(len(documents), np.nan, np.float32)
    passages = [bench.cut(document) for document in documents]
    return SegmentEntries(
        checked.documents, passages, bench.vectors(documents), checked.ids, checked.contents, checked.texts, unknown
    )


def segment_folders(path: Path) -> int:
    return len(list((path / "segments").iterdir()))


def test_without_a_change_there_is_nothing_to_commit(grown: Any) -> None:
    pending, counts = opened(grown)
    assert pending.prepare("test", MergePolicy()) is None
    assert counts == WriterCounts()


def test_added_passages_get_the_next_keys(grown: Any) -> None:
    pending, counts = opened(grown)
    pending.add(entries(grown, grown.document("d", LONG), grown.document("e")))
    manifest = pending.prepare("test", MergePolicy())
    assert manifest is not None
    assert (manifest.generation, manifest.cause, manifest.next_key) == (2, "test", 4 + 3)
    assert [segment.passages for segment in manifest.segments] == [4, 3]
    assert counts == WriterCounts(added=2)
    assert read_manifest(grown.path).generation == 1  # nothing is published


def test_a_new_version_replaces_the_base_document_when_its_segment_is_finished(grown: Any) -> None:
    pending, counts = opened(grown)
    pending.add(entries(grown, grown.document("a", "new"), grown.document("a", "newer")))
    assert counts == WriterCounts(added=2, duplicates=1)
    assert pending.is_being_written(id_digests(["a"])[0].tobytes())
    manifest = pending.prepare("test", MergePolicy(dead_share=1.0))
    assert manifest is not None
    assert counts == WriterCounts(added=2, duplicates=1, replaced=1)
    assert (manifest.documents, manifest.passages) == (3, 4)


def test_a_deletion_reaches_the_base_and_the_unfinished_segment(grown: Any) -> None:
    pending, counts = opened(grown)
    pending.add(entries(grown, grown.document("d")))
    assert pending.delete(["a", "d", "d", "unknown"]) == 2
    manifest = pending.prepare("test", MergePolicy(dead_share=1.0))
    assert manifest is not None
    assert (manifest.documents, manifest.passages) == (2, 3)
    assert counts == WriterCounts(added=1, deleted=2)


def test_a_segment_is_finished_at_its_limit_and_can_be_resumed(grown: Any) -> None:
    pending, counts = opened(grown, passages=2)
    for name in "de":
        pending.add(entries(grown, grown.document(name)))
    assert (segment_folders(grown.path), pending.uses_keys) == (2, True)
    journal = read_journal(grown.path)
    assert journal is not None
    assert (journal.base_key, journal.next_key) == (4, 6)
    assert [segment.passages for segment in journal.segments] == [2]
    pending.close()

    resumed, counts = opened(grown)
    resumed.resume()
    assert len(resumed.segments.segments) == 2
    assert not resumed.segments.live(id_digests(["d", "e"])).any()  # until they are claimed
    assert counts == WriterCounts()
    assert not resumed.uses_keys


def test_a_base_document_that_was_not_seen_is_deleted(grown: Any) -> None:
    pending, counts = opened(grown)
    seen = check_documents([grown.document("a")], {})
    assert pending.segments.unchanged(seen.ids, seen.contents).tolist() == [True]
    assert pending.delete_unseen() == 2
    assert counts == WriterCounts(deleted=2)
