"""The generation that a writer is making: which documents of which segments will be alive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np

from retrieval.index.collection.document_ids import Digests
from retrieval.index.collection.segment import Segment
from retrieval.types import Bitmap, Rows


class SegmentOrigin(Enum):
    """Where a segment of the pending generation comes from."""

    BASE = auto()  # the generation that the writer started from
    NEW = auto()  # this writer
    RESUMED = auto()  # an interrupted writer; its documents are dead until they are claimed


@dataclass(frozen=True, slots=True)
class SegmentSize:
    """Passages of a segment."""

    live: int
    total: int


class PendingSegment:
    """A segment, and which of its documents will be alive."""

    def __init__(self, segment: Segment, live: Bitmap, origin: SegmentOrigin) -> None:
        self.segment = segment
        self.record = segment.record
        self.live = live
        self.origin = origin
        self.seen = np.zeros(len(live), dtype=np.bool_)

    @property
    def size(self) -> SegmentSize:
        """Its passages, as the merge policy counts them."""
        return SegmentSize(int(np.count_nonzero(self.live[self.segment.document_of])), len(self.segment))

    def kill(self, rows: Rows) -> int:
        """Make documents dead; returns how many of them were alive."""
        alive = np.unique(rows[self.live[rows]])
        self.live[alive] = False
        return len(alive)

    def find(self, ids: Digests) -> Rows:
        """Rows of the documents with these id digests, those found."""
        rows = self.segment.find(ids)
        return rows[rows >= 0]

    def same(self, ids: Digests, contents: Digests) -> Rows:
        """The row of each document that is here with the same content, dead or alive; else -1."""
        rows = self.segment.find(ids)
        there = np.flatnonzero(rows >= 0)
        differs = np.any(self.segment.facts["content"][rows[there]] != contents[there], axis=1)
        rows[there[differs]] = -1
        return rows


@dataclass(frozen=True, slots=True)
class DeletedCounts:
    """Documents that became dead: of the base generation, and of this writer's own segments."""

    base: int
    own: int


class PendingSegments:
    """Segments in row order.  An id is alive in one of them at most."""

    def __init__(self, parts: Sequence[PendingSegment]) -> None:
        self.parts = list(parts)

    def append(self, part: PendingSegment) -> DeletedCounts:
        """Add a new segment; its live documents supersede those before it."""
        killed = self.kill(part.segment.id_digests(part.live))
        self.parts.append(part)
        return killed

    def kill(self, ids: Digests) -> DeletedCounts:
        """Make the documents with these id digests dead, wherever they are."""
        counts = dict.fromkeys(SegmentOrigin, 0)
        for part in self.parts:
            counts[part.origin] += part.kill(part.find(ids))
        return DeletedCounts(counts[SegmentOrigin.BASE], counts[SegmentOrigin.NEW] + counts[SegmentOrigin.RESUMED])

    def alive(self, ids: Digests) -> Bitmap:
        """Which id digests belong to a live document."""
        alive = np.zeros(len(ids), dtype=np.bool_)
        for part in self.parts:
            rows = part.segment.find(ids)
            alive |= (rows >= 0) & part.live[rows]
        return alive

    def unreadable_share(self) -> float | None:
        """Mean share of a live document's text that the tokenizer cannot read, where that is known."""
        shares = [part.segment.facts["unreadable"][part.live] for part in self.parts]
        known = [each[~np.isnan(each)] for each in shares]
        count = sum(map(len, known))
        return float(sum(each.sum(dtype=np.float64) for each in known)) / count if count else None

    def kill_unseen(self) -> int:
        """Make dead what the base generation has and `unchanged` was not asked about."""
        base = (part for part in self.parts if part.origin is SegmentOrigin.BASE)
        return sum(part.kill(np.flatnonzero(~part.seen)) for part in base)

    def unchanged(self, ids: Digests, contents: Digests) -> Bitmap:
        """Which documents are alive with the same content.  The ids must be different from each other."""
        alive = np.zeros(len(ids), dtype=np.bool_)
        for part in self.parts:
            rows = part.same(ids, contents)
            here = (rows >= 0) & part.live[rows]
            part.seen[rows[here]] = True
            alive |= here
        return alive

    def claim(self, ids: Digests, contents: Digests) -> Bitmap:
        """Bring to life what an interrupted writer left finished; says which documents were found there."""
        claimed = np.zeros(len(ids), dtype=np.bool_)
        for part in self.parts:
            if part.origin is SegmentOrigin.RESUMED:
                rows = part.same(ids, contents)
                found = (rows >= 0) & ~claimed
                self.kill(ids[found])
                part.live[rows[found]] = True
                claimed |= found
        return claimed
