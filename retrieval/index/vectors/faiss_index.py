"""FAISS indexes that find candidates: make, search, write and read them.

A FAISS index numbers vectors by *position*.  Positions are distinct vectors in row order, except that those held out
for measuring recall come last: the build adds them after the measurement.  `RowOrder` translates.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.errors import CorruptCollection, InputError
from retrieval.index.vectors.equal_vectors import EqualVectors
from retrieval.index.vectors.exact import threads_for, to_float32
from retrieval.index.vectors.store import StoredVectors
from retrieval.types import Bitmap, Rows, Vectors
from retrieval.util.arrays import find_sorted
from retrieval.util.files import Files, writing

BLOCK_ROWS = 1 << 12  # added at a time
_MAX_LOOPS = 1 << 26  # more lists or layers than any index from this package has
_READ_LOCK = Lock()  # FAISS's limits apply to the whole process


@dataclass(frozen=True, slots=True)
class Effort:
    """The effort of one search."""

    explored: int  # efSearch of a graph, or nprobe of inverted lists
    rescored: int  # number of candidates


class RowOrder:
    """The positions of distinct vectors, of which `held` evenly spaced ones come last.

    The others have positions equal to their numbers among the distinct vectors, except that the last ones take the
    positions of held-out ones.
    """

    def __init__(self, equal: EqualVectors, held: int) -> None:
        self.equal = equal
        size = equal.distinct
        numbers = np.arange(held, dtype=np.int64) * size // max(1, held)
        self.held = equal.to_rows(numbers)  # rows
        tail = np.arange(size - held, size, dtype=np.int64)
        gaps = numbers[numbers < size - held]
        self._positions = np.concatenate((gaps, tail))  # ascending: positions that may differ from their number
        self._numbers = np.concatenate((np.setdiff1d(tail, numbers, assume_unique=True), numbers))

    def __len__(self) -> int:
        return self.equal.distinct

    @property
    def base(self) -> int:
        """The number of positions before the held-out ones."""
        return len(self) - len(self.held)

    def to_rows(self, positions: Rows) -> Rows:
        """Return the rows at some positions, of equal vectors the first; -1 stays -1."""
        if len(self._positions) == 0:
            return self.equal.to_rows(positions)
        nearest, moved = find_sorted(positions, self._positions)
        return self.equal.to_rows(np.where(moved, self._numbers[nearest], positions))

    def by_position(self, allowed: Bitmap) -> Bitmap:
        """Convert a bitmap of rows to one of positions; any allowed row allows its vector."""
        numbered = self.equal.distinct_bitmap(allowed)
        moved = numbered.copy()
        moved[self._positions] = numbered[self._numbers]
        return moved


class Selection:
    """The positions that a search may return: one bit each, and FAISS's selector."""

    def __init__(self, bits: NDArray[np.uint8]) -> None:
        self.bits = bits  # the selector reads them, so they must outlive it
        self.selector = faiss.IDSelectorBitmap(bits)


class FaissIndex:
    """A FAISS index over stored vectors; during a build, some are not added yet."""

    def __init__(self, index: faiss.Index, order: RowOrder) -> None:
        self.index = index
        self.order = order

    @property
    def largest_effort(self) -> int:
        """The effort that explores all vectors; 1 for flat codes."""
        inner = _inner(self.index)
        if isinstance(inner, faiss.IndexIVF):
            return int(inner.nlist)
        return int(self.index.ntotal) if is_graph(self.index) else 1

    def select(self, allowed: Bitmap) -> Selection:
        """Convert the allowed rows to FAISS's selector."""
        return Selection(np.packbits(self.order.by_position(allowed), bitorder="little"))

    def candidates(self, queries: Vectors, effort: Effort, selection: Selection | None = None) -> NDArray[np.int64]:
        """Return rows of the nearest codes, best first, -1 for none: (queries, depth).

        A row stands for all rows with an equal vector; with a selection, it may be another of them that is allowed.
        """
        limit = effort.explored if is_graph(self.index) else self.index.ntotal
        wanted = max(1, min(effort.rescored, limit, self.index.ntotal))
        selector = None if selection is None else selection.selector
        with threads_for(len(queries)):
            _, positions = self.index.search(queries, wanted, params=_parameters(self.index, effort.explored, selector))
        return self.order.to_rows(positions)

    def add(self, vectors: StoredVectors, positions: Rows) -> None:
        """Add vectors at positions; if they do not ascend, call `rearrange` on a graph."""
        self.index.add(self._read(vectors, positions))

    def rearrange(self, vectors: StoredVectors, positions: Rows) -> None:
        """Move every vector of a graph to its position; `positions` are in adding order.

        FAISS copies the links once.  To make room for the copy, this drops the codes and makes them again, block by
        block.
        """
        inner = _inner(self.index)
        codes = faiss.downcast_index(inner.storage)
        codes.codes, codes.ntotal = faiss.MaybeOwnedVectorUInt8(), 0
        moved = np.argsort(positions)
        inner.hnsw.permute_entries(faiss.swig_ptr(moved))
        reserve(self.index, len(self.order))
        for start in range(0, len(positions), BLOCK_ROWS):
            block = self._read(vectors, np.arange(start, min(start + BLOCK_ROWS, len(positions))))
            codes.add(_transformed(self.index, block))

    def _read(self, vectors: StoredVectors, positions: Rows) -> Vectors:
        return to_float32(vectors[self.order.to_rows(positions)])


def make_index(factory: str, dimension: int) -> faiss.Index:
    """Make an untrained index.  Raises InputError for an unusable factory string."""
    try:
        index = faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        reason = str(error).rsplit("\n", 1)[-1].strip()
        raise InputError(
            f"FAISS cannot make the index {factory!r} for {dimension} dimensions: {reason}; use another --structure"
        ) from error
    if isinstance(faiss.downcast_index(index), faiss.IndexIDMap | faiss.IndexRefine):
        raise InputError(f"--structure {factory!r}: leave out IDMap and refinement; Attendex rescores candidates")
    if isinstance(_inner(index), faiss.IndexFastScan):
        raise InputError(f"--structure {factory!r} cannot be filtered; put lists before it, as in 'IVF1024,{factory}'")
    return index


def is_graph(index: faiss.Index) -> bool:
    """Check for a graph, which returns no more candidates than it explores."""
    return isinstance(_inner(index), faiss.IndexHNSW)


def reserve(index: faiss.Index, rows: int) -> None:
    """Allocate a graph at once: doubling would need up to three times the memory."""
    index = faiss.downcast_index(index)
    if not isinstance(index, faiss.IndexHNSW):
        return
    codes = faiss.downcast_index(index.storage)
    graph = index.hnsw
    links_above = graph.nb_neighbors(1) * 1.1 / (graph.nb_neighbors(1) - 1)  # mean over all levels above the lowest
    neighbors = int(rows * (graph.nb_neighbors(0) + links_above) * 1.002) + 4096
    for vector, size in ((graph.neighbors, neighbors), (codes.codes, rows * codes.code_size)):
        filled = vector.size()
        vector.resize(max(size, filled))
        vector.resize(filled)  # keeps the memory


def mapped_code_bytes(index: faiss.Index) -> int:
    """Return the bytes of codes at the end of a graph's file, which are not read."""
    index = faiss.downcast_index(index)
    if not isinstance(index, faiss.IndexHNSW):
        return 0
    return max(0, int(index.ntotal * faiss.downcast_index(index.storage).code_size) - 4096)


def write_faiss_index(index: faiss.Index, path: Path, files: Files) -> None:
    """Write an index to a new file, and sync it."""
    with writing(files, path) as file:
        faiss.write_index(index, faiss.PyCallbackIOWriter(file.write, 1 << 20))


def read_faiss_index(path: Path, order: RowOrder, *, mapped: bool = True) -> FaissIndex:
    """Open the file of an index.  Check the digest of the file first.

    mapped: memory-map large arrays if FAISS can; the index then accepts no more vectors.  Raises CorruptCollection.
    """
    size_bytes = path.stat().st_size
    flags = faiss.IO_FLAG_MMAP_IFC if mapped and _is_graph(path) else 0
    try:
        with _limits(size_bytes):
            index = faiss.read_index(str(path), flags)
    except RuntimeError as error:
        reason = str(error).rsplit("\n", 1)[-1].strip()
        raise CorruptCollection(f"FAISS cannot read this index ({reason}); merge to rebuild it", path=path) from error
    return FaissIndex(index, order)


def _is_graph(path: Path) -> bool:
    """Check whether a file contains a graph; only graphs gain from a memory map."""
    with path.open("rb") as file:
        return file.read(3) == b"IHN"


@contextmanager
def _limits(size_bytes: int) -> Iterator[None]:
    """Limit FAISS's parser: no array in a file can be larger than the file."""
    with _READ_LOCK:
        bytes_before = faiss.get_deserialization_vector_byte_limit()
        loops_before = faiss.get_deserialization_loop_limit()
        faiss.set_deserialization_vector_byte_limit(size_bytes)
        faiss.set_deserialization_loop_limit(_MAX_LOOPS)
        try:
            yield
        finally:
            faiss.set_deserialization_vector_byte_limit(bytes_before)
            faiss.set_deserialization_loop_limit(loops_before)


def _inner(index: faiss.Index) -> faiss.Index:
    """Return the index below linear transforms."""
    index = faiss.downcast_index(index)
    return _inner(index.index) if isinstance(index, faiss.IndexPreTransform) else index


def _transformed(index: faiss.Index, vectors: Vectors) -> Vectors:
    """Apply the linear transforms of an index to vectors."""
    index = faiss.downcast_index(index)
    if not isinstance(index, faiss.IndexPreTransform):
        return vectors
    for number in range(index.chain.size()):
        vectors = index.chain.at(number).apply(vectors)
    return _transformed(index.index, vectors)


def _parameters(index: faiss.Index, explored: int, selector: faiss.IDSelector | None) -> faiss.SearchParameters:
    index = faiss.downcast_index(index)
    selected = {} if selector is None else {"sel": selector}
    if isinstance(index, faiss.IndexPreTransform):
        return faiss.SearchParametersPreTransform(index_params=_parameters(index.index, explored, selector), **selected)
    if isinstance(index, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(efSearch=explored, **selected)
    if not isinstance(index, faiss.IndexIVF):
        return faiss.SearchParameters(**selected)
    rabitq = isinstance(index, faiss.IndexIVFRaBitQ | faiss.IndexIVFRaBitQFastScan)
    kind = faiss.IVFRaBitQSearchParameters if rabitq else faiss.SearchParametersIVF
    if isinstance(faiss.downcast_index(index.quantizer), faiss.IndexHNSW):
        selected["quantizer_params"] = faiss.SearchParametersHNSW(efSearch=max(16, 2 * explored))
    return kind(nprobe=explored, **selected)
