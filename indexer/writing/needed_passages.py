"""The passages that an inverted index of a pending generation must have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from indexer.writing.pending_segments import PendingSegment
from retrieval.index.collection.segment import PassageTexts
from retrieval.types import Bitmap


@dataclass(frozen=True, slots=True)
class NeededPassages:
    """The live passages, and those of them that the last generation's index lacks."""

    segments: Sequence[PendingSegment]
    live: Sequence[Bitmap]  # (passages,) of each segment
    missing: Sequence[Bitmap]

    @classmethod
    def of(cls, segments: Sequence[PendingSegment], missing: Callable[[NDArray[np.uint64]], Bitmap]) -> Self:
        """Find the live passages of segments; `missing` tells which keys the index lacks."""
        live = [segment.live[segment.segment.document_of] for segment in segments]
        lacking = [rows.copy() for rows in live]
        for segment, rows in zip(segments, lacking, strict=True):
            rows[rows] = missing(segment.segment.keys[rows])
        return cls(segments, live, lacking)

    @property
    def live_keys(self) -> NDArray[np.uint64]:
        return self._keys(self.live)

    @property
    def missing_keys(self) -> NDArray[np.uint64]:
        return self._keys(self.missing)

    def scan_missing(self, searched: Sequence[str] = ()) -> Iterator[PassageTexts]:
        """Yield the texts of the missing passages, in the order of their keys."""
        for segment, rows in zip(self.segments, self.missing, strict=True):
            if rows.any():
                yield from segment.segment.scan(rows, searched)

    def _keys(self, rows: Iterable[Bitmap]) -> NDArray[np.uint64]:
        keys = [segment.segment.keys[mask] for segment, mask in zip(self.segments, rows, strict=True)]
        return np.concatenate([np.empty(0, np.uint64), *keys])
