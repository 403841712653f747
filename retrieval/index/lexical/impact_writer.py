"""Write the sparse index of a generation: quantised weights of terms as postings.

The weight of a term in a passage, divided by the scale of the collection, is rounded to a whole number from 0 to 255:
its impact (Anh and Moffat 2002).  Impacts above 0 stand in the place of frequencies in the files of a segment (see
postings.py), and there are no positions.  A weight above the range counts as 255 steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.index.lexical.inverter import make_lexicon
from retrieval.index.lexical.postings import PASSAGE, save_array
from retrieval.index.lexical.postings_writer import PostingsWriter
from retrieval.index.storage.manifest import PostingsRecord
from retrieval.index.storage.settings import MAX_IMPACT, SparseSettings
from retrieval.types import Bitmap, SparseVector
from retrieval.util.files import Files

_SEGMENT_POSTINGS = 1 << 23  # collected in memory before a segment is written; about 30 bytes each


class ImpactWriter:
    """Writes the sparse index of a generation, valid after the manifest names it."""

    def __init__(
        self, collection: Path, settings: SparseSettings, previous: PostingsRecord | None, files: Files
    ) -> None:
        self._postings = PostingsWriter(collection, previous, files)
        self._scale = settings.scale
        self._tokens: Sequence[str] = ()
        self._keys: list[NDArray[np.uint64]] = []
        self._terms: list[NDArray[np.int32]] = []  # of each passage
        self._impacts: list[NDArray[np.uint8]] = []
        self._collected = 0

    def missing(self, keys: NDArray[np.uint64]) -> Bitmap:
        """Check for each key whether its passage is missing from the index."""
        return self._postings.missing(keys)

    def add(self, keys: NDArray[np.uint64], vectors: Sequence[SparseVector], tokens: Sequence[str]) -> None:
        """Add passages.  Their keys ascend, from call to call and above all previous.

        tokens: the text of each term that vectors number, the same in each call.
        """
        self._tokens = tokens
        self._keys.append(keys)
        for vector in vectors:
            impacts = quantise(vector.weights, self._scale)
            self._terms.append(vector.terms[impacts > 0])
            self._impacts.append(impacts[impacts > 0])
            self._collected += len(self._terms[-1])
        if self._collected >= _SEGMENT_POSTINGS:
            self._write_segment()

    def commit(self, live_keys: NDArray[np.uint64], *, compact: bool = False) -> PostingsRecord:
        """Write the added passages; merge segments as `PostingsWriter.commit` does."""
        self._write_segment()
        return self._postings.commit(live_keys, compact=compact)

    def _write_segment(self) -> None:
        if not any(map(len, self._keys)):
            return
        terms, sizes = np.concatenate(self._terms), list(map(len, self._terms))
        arrays = self._arrays(np.concatenate(self._keys), terms, np.concatenate(self._impacts), sizes)

        def write(files: Files, folder: Path, segment: str) -> None:
            for name, values in arrays.items():
                save_array(files, folder, segment, name, values)

        self._postings.add_segment(write)
        self._keys, self._terms, self._impacts, self._collected = [], [], [], 0

    def _arrays(
        self, keys: NDArray[np.uint64], terms: NDArray[np.int32], impacts: NDArray[np.uint8], sizes: Sequence[int]
    ) -> dict[str, NDArray[Any]]:
        """Make the arrays of a segment; `sizes` are the numbers of terms of the passages."""
        used = sorted(np.unique(terms).tolist(), key=self._tokens.__getitem__)
        rank = np.zeros(len(self._tokens), np.int32)
        rank[used] = np.arange(len(used))
        members = np.repeat(np.arange(len(sizes), dtype=np.uint32), sizes)
        order = np.argsort(rank[terms], kind="stable")
        members, term, impacts = members[order], rank[terms][order], impacts[order]
        passages = np.zeros(len(keys), PASSAGE)
        passages["key"] = keys
        passages["length"] = np.bincount(members, weights=impacts, minlength=len(keys))
        counts = np.zeros(len(members), np.uint8)
        lexicon = make_lexicon(term, counts.astype(np.int64), impacts, passages["length"][members])
        texts = [self._tokens[number].encode() for number in used]
        lexicon["text"] = np.append(0, np.cumsum([len(text) for text in texts]))
        return {
            "passages": passages,
            "lexicon": lexicon,
            "terms": np.frombuffer(b"".join(texts), np.uint8),
            "members": members,
            "frequencies": impacts,
            "counts": counts,
            "places": np.empty(0, np.uint8),
        }


def quantise(weights: NDArray[np.float32], scale: float) -> NDArray[np.uint8]:
    """Return weights, each at least 0, as impacts."""
    steps = np.minimum(np.rint(weights / np.float32(scale)), MAX_IMPACT)
    return np.asarray(steps, np.uint8)
