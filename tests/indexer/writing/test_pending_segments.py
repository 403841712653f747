"""Which documents of which segments are live: counts that can be checked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from indexer.writing.pending_segments import (
    DeletedCounts,
    PendingSegments,
    SegmentOrigin,
    SegmentSize,
    open_base_segments,
    open_resumed_segments,
)
from retrieval.index.collection.document_ids import Digests, content_digests, id_digests
from retrieval.index.storage.manifest import read_manifest

LONG = "a text that is long enough for two passages"


@pytest.fixture
def pending(bench: Any) -> PendingSegments:
    """Make two segments: a, b, c with 1, 2, 1 passages, and d, e with 1 passage each."""
    bench.add(bench.document("a"), bench.document("b", LONG), bench.document("c"))
    bench.add(bench.document("d"), bench.document("e"))
    return PendingSegments(open_base_segments(bench.path, read_manifest(bench.path).segments))


def digests(bench: Any, *names: str) -> tuple[Digests, Digests]:
    """Return id and content digests of documents with their usual texts."""
    return id_digests(names), content_digests([bench.document(name) for name in names])


def live_flags(pending: PendingSegments) -> list[list[bool]]:
    return [segment.live.tolist() for segment in pending.segments]


def test_a_size_counts_passages(pending: PendingSegments) -> None:
    first, second = pending.segments
    assert (first.size, second.size) == (SegmentSize(4, 4), SegmentSize(2, 2))
    assert first.delete_rows(np.array([1])) == 1  # b, of two passages
    assert first.size == SegmentSize(2, 4)


def test_a_deletion_counts_live_documents_once(pending: PendingSegments) -> None:
    first = pending.segments[0]
    assert first.delete_rows(np.array([0, 0, 2])) == 2
    assert first.delete_rows(np.array([0, 1])) == 1


def test_ids_are_deleted_in_every_segment(pending: PendingSegments) -> None:
    assert pending.delete(id_digests(["a", "e", "unknown"])) == DeletedCounts(base=2, own=0)
    assert live_flags(pending) == [[False, True, True], [True, False]]
    assert pending.live(id_digests(["a", "b", "e", "unknown"])).tolist() == [False, True, False, False]


def test_unchanged_needs_the_same_content_in_a_live_document(bench: Any, pending: PendingSegments) -> None:
    pending.delete(id_digests(["d"]))
    found = pending.unchanged(*digests(bench, "a", "b", "d", "e"))  # "b" has another text in the collection
    assert found.tolist() == [True, False, False, True]


def test_delete_unseen_deletes_what_unchanged_did_not_find(bench: Any, pending: PendingSegments) -> None:
    pending.unchanged(*digests(bench, "a", "e"))
    assert pending.delete_unseen() == 3
    assert live_flags(pending) == [[True, False, False], [False, True]]


def test_resumed_documents_are_deleted_until_they_are_claimed(bench: Any) -> None:
    bench.add(bench.document("a", "an older text"), *(bench.document(name) for name in "bxy"))
    bench.add(bench.document("a"), bench.document("c"))
    base, resumed = read_manifest(bench.path).segments
    segments = [*open_base_segments(bench.path, [base]), *open_resumed_segments(bench.path, [resumed])]
    pending = PendingSegments(segments)
    assert [segment.origin for segment in segments] == [SegmentOrigin.BASE, SegmentOrigin.RESUMED]
    segments[0].live[:] = True  # as before the second commit, which deleted the older "a"
    assert live_flags(pending) == [[True, True, True, True], [False, False]]
    assert pending.claim(*digests(bench, "a", "b")).tolist() == [True, False]
    assert live_flags(pending) == [[False, True, True, True], [True, False]]  # the claimed "a" replaces the older one


def test_the_unreadable_share_is_the_mean_of_known_shares(bench: Any) -> None:
    documents = [bench.document(name) for name in "abcd"]
    shares = np.array([0.25, 0.75, np.nan, 1.0], np.float32)
    with bench.writer() as writer:
        writer.add(documents, [bench.cut(document) for document in documents], bench.vectors(documents), shares)
        writer.commit()
    pending = PendingSegments(open_base_segments(bench.path, read_manifest(bench.path).segments))
    pending.delete(id_digests(["d"]))
    assert pending.unreadable_share() == 0.5  # of a and b: c is unknown and d is deleted
    pending.delete(id_digests(["a", "b"]))
    assert pending.unreadable_share() is None
