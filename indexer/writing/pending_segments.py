"""The segments of a pending generation, with the documents of each that stay live."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from retrieval.index.collection.document_ids import Digests
from retrieval.index.collection.metadata_updates import MetadataUpdates, join_updates
from retrieval.index.collection.segment import Segment
from retrieval.index.metadata.columns import arrow_type
from retrieval.index.metadata.expiry import Expiry
from retrieval.index.storage.manifest import SegmentRecord
from retrieval.types import Bitmap, Document, FieldType, Passage, Rows, Schema

UNSEEN_BATCH = 512  # documents


class SegmentOrigin(Enum):
    """The writer that made a segment of the pending generation."""

    BASE = auto()  # an earlier writer: the segment is part of the generation that this writer changes
    NEW = auto()  # this writer
    RESUMED = auto()  # an interrupted writer: a document counts as deleted until `claim` finds it unchanged


@dataclass(frozen=True, slots=True)
class SegmentSize:
    """Passages of a segment: those of live documents, and all."""

    live: int
    total: int


class PendingSegment:
    """A segment of the pending generation, and the documents of it that are live."""

    def __init__(self, segment: Segment, live: Bitmap, origin: SegmentOrigin) -> None:
        self._stored = segment  # without the updates of this writer
        self._updated: Segment | None = segment  # with them; None until it is needed
        self._updates: list[MetadataUpdates] = []  # of this writer
        self._facts: NDArray[np.void] | None = None  # of the stored segment, with the digests of `_updates`
        self.record = segment.record
        self.live = live
        self.origin = origin
        self.seen = np.zeros(len(live), dtype=np.bool_)  # documents that the source still holds

    @property
    def segment(self) -> Segment:
        """The open segment, with the metadata that this writer updated."""
        if self._updated is None:
            self._updated = self._stored.updated(self._updates)
        return self._updated

    @property
    def updates(self) -> MetadataUpdates | None:
        """The new metadata, which the commit writes; None for none."""
        return join_updates(self._updates)

    def complete(self, segment: Segment) -> None:
        """Take the same segment with more files."""
        self._stored, self.record = segment, segment.record
        self._updated = None if self._updates else segment

    def update(self, updates: MetadataUpdates) -> None:
        """Give documents new metadata.  The time does not depend on earlier updates."""
        if self._facts is None:
            self._facts = self._stored.facts.copy()
        self._facts["content"][updates.rows] = updates.contents
        self._updates.append(updates)
        self._updated = None
        self.seen[updates.rows] = True

    @property
    def size(self) -> SegmentSize:
        """The segment's size, as the merge policy counts it."""
        return SegmentSize(int(np.count_nonzero(self.live[self._stored.document_of])), len(self._stored))

    def delete_rows(self, rows: Rows) -> int:
        """Delete documents; return the number of them that were live."""
        live = np.unique(rows[self.live[rows]])
        self.live[live] = False
        return len(live)

    def find(self, ids: Digests) -> Rows:
        """Return the rows of the documents with these id digests, without unknown ids."""
        rows = self._stored.find(ids)
        return rows[rows >= 0]

    def find_live(self, ids: Digests) -> tuple[Rows, NDArray[np.int64]]:
        """Return the rows of live documents with these id digests, and whose they are."""
        rows = self._stored.find(ids)
        positions = np.flatnonzero((rows >= 0) & self.live[rows])
        return rows[positions], positions

    def find_equal(self, ids: Digests, digests: Digests, fact: Literal["content", "text"] = "content") -> Rows:
        """Return each document's row with that digest, live or deleted; -1 if none."""
        rows = self._stored.find(ids)
        found = np.flatnonzero(rows >= 0)
        facts = self._stored.facts if self._facts is None else self._facts
        differs = np.any(facts[fact][rows[found]] != digests[found], axis=1)
        rows[found[differs]] = -1
        return rows


def base_segment(segment: Segment) -> PendingSegment:
    """Take a segment of the current generation, with its deletions."""
    return PendingSegment(segment, segment.live_documents.copy(), SegmentOrigin.BASE)


def open_base_segments(collection: Path, records: Sequence[SegmentRecord]) -> list[PendingSegment]:
    """Open the segments of the current generation, with its deletions."""
    return [base_segment(Segment(collection, record)) for record in records]


def open_resumed_segments(collection: Path, records: Sequence[SegmentRecord]) -> list[PendingSegment]:
    """Open an interrupted writer's segments; all documents count as deleted."""
    segments = [Segment(collection, record) for record in records]
    return [
        PendingSegment(segment, np.zeros(segment.record.documents, dtype=np.bool_), SegmentOrigin.RESUMED)
        for segment in segments
    ]


@dataclass(frozen=True, slots=True)
class DeletedCounts:
    """Numbers of deleted documents, in the base and in the writer's segments."""

    base: int
    own: int


class PendingSegments:
    """The segments in row order.  An id is live in at most one of them."""

    def __init__(self, segments: Sequence[PendingSegment]) -> None:
        self.segments = list(segments)

    def append(self, segment: PendingSegment) -> DeletedCounts:
        """Add a new segment; its live documents replace the earlier ones of the same id."""
        deleted = self.delete(segment.segment.id_digests(segment.live))
        self.segments.append(segment)
        return deleted

    def delete(self, ids: Digests) -> DeletedCounts:
        """Delete the documents with these id digests in every segment."""
        counts = dict.fromkeys(SegmentOrigin, 0)
        for segment in self.segments:
            counts[segment.origin] += segment.delete_rows(segment.find(ids))
        return DeletedCounts(counts[SegmentOrigin.BASE], counts[SegmentOrigin.NEW] + counts[SegmentOrigin.RESUMED])

    def live(self, ids: Digests) -> Bitmap:
        """Return for each id digest whether a live document has it."""
        live = np.zeros(len(ids), dtype=np.bool_)
        for segment in self.segments:
            live[segment.find_live(ids)[1]] = True
        return live

    def stored(self, ids: Digests) -> list[Document | None]:
        """Return the live document of each id digest; None for an unknown one."""
        found: list[Document | None] = [None] * len(ids)
        for segment in self.segments:
            rows, positions = segment.find_live(ids)
            documents = segment.segment.documents(rows) if len(rows) else []
            for position, document in zip(positions.tolist(), documents, strict=True):
                found[position] = document
        return found

    def passages(self, id_digest: Digests) -> list[Passage]:
        """Return the passages of a live document: (1, 2)."""
        for segment in self.segments:
            for row in segment.find_live(id_digest)[0].tolist():
                return segment.segment.passages(np.arange(*segment.segment.document_of.searchsorted([row, row + 1])))
        return []

    def update(self, documents: Sequence[Document], ids: Digests, contents: Digests, schema: Schema) -> None:
        """Give live documents new metadata; the ids are distinct."""
        for segment in self.segments:
            rows, positions = segment.find_live(ids)
            if len(rows):
                some = [documents[position] for position in positions.tolist()]
                segment.update(MetadataUpdates.of(rows, some, contents[positions], schema))

    def same_texts(self, ids: Digests, texts: Digests) -> Bitmap:
        """Return which documents are live with the same text, whatever their metadata."""
        same = np.zeros(len(ids), dtype=np.bool_)
        for segment in self.segments:
            rows = segment.find_equal(ids, texts, "text")
            same |= (rows >= 0) & segment.live[rows]
        return same

    def unreadable_share(self) -> float | None:
        """Return the mean unreadable share of a live document's text; None if unknown."""
        shares = [segment.segment.facts["unreadable"][segment.live] for segment in self.segments]
        known = [share[~np.isnan(share)] for share in shares]
        count = sum(map(len, known))
        return float(sum(share.sum(dtype=np.float64) for share in known)) / count if count else None

    def delete_expired(self, field: str, now: datetime) -> int:
        """Delete the documents whose time in a date field has come; return their number."""
        deleted = 0
        for segment in self.segments:
            expired = Expiry(segment.segment.column(field, arrow_type(FieldType.DATE))).expired(now)
            deleted += 0 if expired is None else segment.delete_rows(np.flatnonzero(expired))
        return deleted

    def delete_unseen(self) -> int:
        """Delete base documents that `unchanged` did not find; return their number."""
        base = (segment for segment in self.segments if segment.origin is SegmentOrigin.BASE)
        return sum(segment.delete_rows(np.flatnonzero(~segment.seen)) for segment in base)

    def unseen(self) -> Iterator[list[Document]]:
        """Yield the live base documents that `unchanged` did not find, in batches."""
        for segment in self.segments:
            if segment.origin is SegmentOrigin.BASE:
                rows = np.flatnonzero(~segment.seen & segment.live)
                for start in range(0, len(rows), UNSEEN_BATCH):
                    yield segment.segment.documents(rows[start : start + UNSEEN_BATCH])

    def unchanged(self, ids: Digests, contents: Digests) -> Bitmap:
        """Return which documents are live with the same content.  Ids must be distinct."""
        live = np.zeros(len(ids), dtype=np.bool_)
        for segment in self.segments:
            rows = segment.find_equal(ids, contents)
            found = (rows >= 0) & segment.live[rows]
            segment.seen[rows[found]] = True
            live |= found
        return live

    def claim(self, ids: Digests, contents: Digests) -> Bitmap:
        """Make equal documents of an interrupted writer live; return which were found."""
        claimed = np.zeros(len(ids), dtype=np.bool_)
        for segment in self.segments:
            if segment.origin is SegmentOrigin.RESUMED:
                rows = segment.find_equal(ids, contents)
                found = (rows >= 0) & ~claimed
                self.delete(ids[found])
                segment.live[rows[found]] = True
                claimed |= found
        return claimed
