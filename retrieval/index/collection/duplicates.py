"""Near-duplicate documents of a collection, by the letters of title and text.

Memory stays bounded: texts are read a block at a time, and the keys of the bands wait in a temporary file.  Besides a
few blocks, the search keeps about 60 bytes a document.  Candidates are compared exactly: each reported similarity is
true, and only pairs that agree in no band are missed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from retrieval.index.collection.document_store import SegmentTable
from retrieval.index.collection.index_reader import IndexReader
from retrieval.types import Rows
from retrieval.util.arrays import ranges
from retrieval.util.minhash import BINS, Hashes, band_keys, band_size, signatures, similarities

BLOCK_CHARACTERS = 1 << 21  # of texts that are read together
BLOCK_PAIRS = 1 << 16  # compared together
MAX_ROUNDS = 16  # documents with one key that are compared with all others that have it

Watch = Callable[[int], None]
Sizes = NDArray[np.int64]  # characters of each live document; 0 without letters and digits


@dataclass(frozen=True, slots=True)
class DuplicateDocument:
    """A document with near duplicates; `similarity` is the greatest that was found."""

    id: str
    title: str
    similarity: float


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Documents that pairs of near duplicates connect, in the order of the collection."""

    documents: tuple[DuplicateDocument, ...]


class Groups:
    """Documents joined to groups (union-find), by position."""

    def __init__(self, count: int) -> None:
        self._parents = np.arange(count)
        self.best = np.zeros(count, np.float32)  # greatest similarity of each document

    def join(self, pairs: Rows, similarity: NDArray[np.float64]) -> None:
        """Join the documents of pairs, (n, 2)."""
        for column in (0, 1):
            np.maximum.at(self.best, pairs[:, column], similarity.astype(np.float32))
        for left, right in pairs.tolist():
            first, second = self._root(left), self._root(right)
            self._parents[max(first, second)] = min(first, second)

    def labels(self) -> Rows:
        """Return the first document of each document's group."""
        while True:
            above = self._parents[self._parents]
            if np.array_equal(above, self._parents):
                return above
            self._parents = above

    def _root(self, position: int) -> int:
        while (parent := int(self._parents[position])) != position:
            position = parent
        return position


def find_duplicates(reader: IndexReader, threshold: float, watch: Watch = lambda _: None) -> list[DuplicateGroup]:
    """Return the groups of near duplicates, large ones first.

    threshold: least similarity of a pair, as in `retrieval/util/minhash.py`, above 0 and at most 1.  The watcher is
    told how much is done, from 0 to 2 · documents: reading is one half, comparing is the other.
    """
    documents = np.flatnonzero(reader.live_documents)
    comparison = _Comparison(reader, documents, threshold)
    if len(documents) > 1:
        with tempfile.TemporaryFile(prefix="attendex-duplicates-") as file:
            keys = np.memmap(file, np.uint64, mode="w+", shape=(BINS // band_size(threshold), len(documents)))
            comparison.sizes = _write_keys(reader, keys, band_size(threshold), watch)
            for number in range(len(keys)):
                comparison.compare_band(np.asarray(keys[number]))
                watch(len(documents) + len(documents) * (number + 1) // len(keys))
    return _listed(reader, documents, comparison.groups)


def _write_keys(reader: IndexReader, keys: Hashes, size: int, watch: Watch) -> Sizes:
    """Fill in the keys of all live documents; return their sizes."""
    sizes = np.zeros(keys.shape[1], np.int64)
    done = 0
    for texts in _blocks(_texts(reader)):
        signed = signatures(texts)
        block = slice(done, done + len(texts))
        keys[:, block] = band_keys(signed, size)
        sizes[block] = np.where(signed.any(axis=1), [len(text) for text in texts], 0)
        done += len(texts)
        watch(done)
    return sizes


def _texts(reader: IndexReader) -> Iterator[str]:
    """Yield title and text of each live document, in the order of the collection."""
    for segment in reader.segments:
        first = 0
        for batch in segment.table(SegmentTable.DOCUMENTS).batches():
            live = np.flatnonzero(segment.live_documents[first : first + batch.num_rows])
            first += batch.num_rows
            titles, texts = (batch.column(name).take(live).to_pylist() for name in ("title", "text"))
            yield from map(_joined, titles, texts)


def _joined(title: str, text: str) -> str:
    return f"{title}\n{text}"


def _blocks(texts: Iterator[str]) -> Iterator[list[str]]:
    block: list[str] = []
    characters = 0
    for text in texts:
        block.append(text)
        characters += len(text)
        if characters >= BLOCK_CHARACTERS:
            yield block
            block, characters = [], 0
    if block:
        yield block


class _Comparison:
    """Compares the documents that agree in a band."""

    def __init__(self, reader: IndexReader, documents: Rows, threshold: float) -> None:
        self.sizes = np.zeros(len(documents), np.int64)
        self.groups = Groups(len(documents))
        self._reader = reader
        self._documents = documents
        self._threshold = threshold

    def compare_band(self, keys: Hashes) -> None:
        """Join documents with equal keys that are similar enough.

        In each round, the next document of each run of equal keys is compared with those after it.
        """
        order = np.argsort(keys, kind="stable")
        order = order[self.sizes[order] > 0]
        starts = np.flatnonzero(np.append(True, np.diff(keys[order]) != 0)[: len(order)])
        lengths = np.diff(np.append(starts, len(order)))
        for number in range(MAX_ROUNDS):
            remaining = lengths > number + 1
            starts, lengths = starts[remaining], lengths[remaining]
            if not len(starts):
                return
            others = lengths - number - 1
            leaders = order[np.repeat(starts + number, others)]
            pairs = np.stack((leaders, order[ranges(starts + number + 1, others)]), axis=1)
            labels = self.groups.labels()
            self._compare(pairs[labels[pairs[:, 0]] != labels[pairs[:, 1]]])

    def _compare(self, pairs: Rows) -> None:
        """Join the pairs, (n, 2), that are similar enough; read texts block by block."""
        characters = np.cumsum(self.sizes[pairs].sum(axis=1))
        start = 0
        while start < len(pairs):
            read = characters[start - 1] if start else 0
            end = int(np.searchsorted(characters, read + BLOCK_CHARACTERS, side="right"))
            end = min(max(end, start + 1), start + BLOCK_PAIRS)
            block = pairs[start:end]
            compared, positions = np.unique(block, return_inverse=True)
            texts = [_joined(*each) for each in self._reader.texts(self._documents[compared])]
            similarity = similarities(texts, positions.reshape(block.shape))
            similar = similarity >= self._threshold
            self.groups.join(block[similar], similarity[similar])
            start = end


def _listed(reader: IndexReader, documents: Rows, groups: Groups) -> list[DuplicateGroup]:
    """Return the groups of at least two documents, large ones first."""
    labels = groups.labels()
    order = np.argsort(labels, kind="stable")
    first, counts = np.unique(labels[order], return_index=True, return_counts=True)[1:]
    several = counts > 1
    members = order[ranges(first[several], counts[several])]
    rows = documents[members]
    cells = zip(reader.ids(rows), reader.titles(rows), groups.best[members].tolist(), strict=True)
    found = (DuplicateDocument(id_, title, similarity) for id_, title, similarity in cells)
    listed = [DuplicateGroup(tuple(islice(found, count))) for count in counts[several].tolist()]
    return sorted(listed, key=lambda group: -len(group.documents))
