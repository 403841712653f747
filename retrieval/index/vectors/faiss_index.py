"""FAISS structures that find candidates: made from a factory string, searched, written and opened again.

A structure numbers vectors by *position*.  Positions are rows, except that the rows held out for measuring recall
come last, so that they can be added after it was measured; `RowOrder` translates.
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
from retrieval.index.vectors.exact import to_float32
from retrieval.index.vectors.faiss_threads import threads_for
from retrieval.index.vectors.store import Kept
from retrieval.types import Bitmap, Rows, Vectors
from retrieval.util.arrays import find_sorted
from retrieval.util.files import Files, writing

BLOCK_ROWS = 1 << 12  # added at a time
_LOOPS = 1 << 26  # more lists, layers or the like than any structure made here has
_READING = Lock()  # FAISS's limits hold for the whole process


@dataclass(frozen=True, slots=True)
class Effort:
    """How hard one search tries: efSearch of a graph or nprobe of lists, and how many candidates are rescored."""

    explored: int
    rescored: int


class RowOrder:
    """Positions of `rows` rows of which `held` evenly spaced ones stand last; the others keep their places as far as
    they can: a row of the tail takes the place of one held out."""

    def __init__(self, rows: int, held: int) -> None:
        self.rows = rows
        self.held = np.arange(held, dtype=np.int64) * rows // max(1, held)
        tail = np.arange(rows - held, rows, dtype=np.int64)
        gaps = self.held[self.held < rows - held]
        self._positions = np.concatenate((gaps, tail))  # ascending: where position and row may differ
        self._rows = np.concatenate((np.setdiff1d(tail, self.held, assume_unique=True), self.held))

    @property
    def base(self) -> int:
        """Positions before those held out."""
        return self.rows - len(self.held)

    def to_rows(self, positions: Rows) -> Rows:
        """The rows at these positions; -1 stays -1."""
        if len(self._positions) == 0:
            return positions
        nearest, moved = find_sorted(positions, self._positions)
        return np.where(moved, self._rows[nearest], positions)

    def by_position(self, allowed: Bitmap) -> Bitmap:
        """A bitmap of rows as one of positions."""
        moved = allowed.copy()
        moved[self._positions] = allowed[self._rows]
        return moved


class Selection:
    """Positions that a search may return: a bit each, and FAISS's selector over them."""

    def __init__(self, bits: NDArray[np.uint8]) -> None:
        self.bits = bits  # the selector reads them, so they must live as long
        self.selector = faiss.IDSelectorBitmap(bits)


class Structure:
    """An FAISS index over kept vectors, some of which may not be added yet."""

    def __init__(self, index: faiss.Index, order: RowOrder) -> None:
        self.index = index
        self.order = order

    @property
    def largest_effort(self) -> int:
        """The effort that explores everything there is; 1 for plain codes, of which every search reads all."""
        inner = _inner(self.index)
        if isinstance(inner, faiss.IndexIVF):
            return int(inner.nlist)
        return int(self.index.ntotal) if is_graph(self.index) else 1

    def select(self, allowed: Bitmap) -> Selection:
        """The allowed rows as FAISS wants them."""
        return Selection(np.packbits(self.order.by_position(allowed), bitorder="little"))

    def candidates(self, queries: Vectors, effort: Effort, selection: Selection | None = None) -> NDArray[np.int64]:
        """Rows of the nearest codes, best first, -1 where there are too few: (queries, at most `rescored`)."""
        most = effort.explored if is_graph(self.index) else self.index.ntotal
        wanted = max(1, min(effort.rescored, most, self.index.ntotal))
        chosen = None if selection is None else selection.selector
        with threads_for(len(queries)):
            _, positions = self.index.search(queries, wanted, params=_parameters(self.index, effort.explored, chosen))
        return self.order.to_rows(positions)

    def add(self, vectors: Kept, positions: Rows) -> None:
        """Add the vectors of these positions; a graph that takes them in another order is to be rearranged."""
        self.index.add(self._read(vectors, positions))

    def rearrange(self, vectors: Kept, positions: Rows) -> None:
        """Let every vector of a graph stand at its position; `positions`: those added, in that order.

        The links are copied once.  The codes make room for that, and are then made again, block by block.
        """
        inner = _inner(self.index)
        codes = faiss.downcast_index(inner.storage)
        codes.codes, codes.ntotal = faiss.MaybeOwnedVectorUInt8(), 0
        moved = np.argsort(positions)
        inner.hnsw.permute_entries(faiss.swig_ptr(moved))
        reserve(self.index, self.order.rows)
        for start in range(0, len(positions), BLOCK_ROWS):
            block = self._read(vectors, np.arange(start, min(start + BLOCK_ROWS, len(positions))))
            codes.add(_transformed(self.index, block))

    def _read(self, vectors: Kept, positions: Rows) -> Vectors:
        return to_float32(vectors[self.order.to_rows(positions)])


def make_index(factory: str, dimension: int) -> faiss.Index:
    """An empty, untrained index.  Raises InputError for a factory string that cannot be used here."""
    try:
        index = faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        reason = str(error).rsplit("\n", 1)[-1].strip()
        raise InputError(f"FAISS cannot make the structure {factory!r} for {dimension} dimensions: {reason}") from error
    if isinstance(faiss.downcast_index(index), faiss.IndexIDMap | faiss.IndexRefine):
        raise InputError(f"structure {factory!r}: leave IDMap and refinement out; kept vectors are rescored anyway")
    if isinstance(_inner(index), faiss.IndexFastScan):
        raise InputError(f"structure {factory!r} cannot be filtered; put lists before it, as in 'IVF1024,{factory}'")
    return index


def is_graph(index: faiss.Index) -> bool:
    """Whether candidates are found by walking a graph: then at most as many as are explored."""
    return isinstance(_inner(index), faiss.IndexHNSW)


def reserve(index: faiss.Index, rows: int) -> None:
    """Take the memory of a graph over `rows` vectors at once: growing by doubling would need up to three times it."""
    index = faiss.downcast_index(index)
    if not isinstance(index, faiss.IndexHNSW):
        return
    codes = faiss.downcast_index(index.storage)
    graph = index.hnsw
    links_above = graph.nb_neighbors(1) * 1.1 / (graph.nb_neighbors(1) - 1)  # mean over the levels above the lowest
    neighbors = int(rows * (graph.nb_neighbors(0) + links_above) * 1.002) + 4096
    for vector, size in ((graph.neighbors, neighbors), (codes.codes, rows * codes.code_size)):
        filled = vector.size()
        vector.resize(max(size, filled))
        vector.resize(filled)  # keeps the memory


def mapped_code_bytes(index: faiss.Index) -> int:
    """Bytes at the end of a structure's file that are codes of a memory-mapped graph, which opening does not read."""
    index = faiss.downcast_index(index)
    if not isinstance(index, faiss.IndexHNSW):
        return 0
    return max(0, int(index.ntotal * faiss.downcast_index(index.storage).code_size) - 4096)


def write_structure(index: faiss.Index, path: Path, files: Files) -> None:
    """Write the index to a new file, fsynced."""
    with writing(files, path) as file:
        faiss.write_index(index, faiss.PyCallbackIOWriter(file.write, 1 << 20))


def read_structure(path: Path, order: RowOrder, *, mapped: bool = True) -> Structure:
    """Open a structure file; large arrays are memory-mapped where FAISS can.  Check the file's digest first.

    A structure that is not `mapped` can be added to.
    """
    size_bytes = path.stat().st_size
    flags = faiss.IO_FLAG_MMAP_IFC if mapped and _is_graph(path) else 0
    try:
        with _limits(size_bytes):
            index = faiss.read_index(str(path), flags)
    except RuntimeError as error:
        reason = str(error).rsplit("\n", 1)[-1].strip()
        raise CorruptCollection(
            f"not a structure that FAISS can read ({reason}); merge to rebuild it", path=path
        ) from error
    return Structure(index, order)


def _is_graph(path: Path) -> bool:
    """Whether the file holds a graph index; only those gain from a memory map."""
    with path.open("rb") as file:
        return file.read(3) == b"IHN"


@contextmanager
def _limits(size_bytes: int) -> Iterator[None]:
    """No array in a file can be larger than the file: hold FAISS's parser to that."""
    with _READING:
        bytes_before, loops_before = (
            faiss.get_deserialization_vector_byte_limit(),
            faiss.get_deserialization_loop_limit(),
        )
        faiss.set_deserialization_vector_byte_limit(size_bytes)
        faiss.set_deserialization_loop_limit(_LOOPS)
        try:
            yield
        finally:
            faiss.set_deserialization_vector_byte_limit(bytes_before)
            faiss.set_deserialization_loop_limit(loops_before)


def _inner(index: faiss.Index) -> faiss.Index:
    """The index under linear transforms."""
    index = faiss.downcast_index(index)
    return _inner(index.index) if isinstance(index, faiss.IndexPreTransform) else index


def _transformed(index: faiss.Index, vectors: Vectors) -> Vectors:
    """The vectors as the index under linear transforms takes them."""
    index = faiss.downcast_index(index)
    if not isinstance(index, faiss.IndexPreTransform):
        return vectors
    for number in range(index.chain.size()):
        vectors = index.chain.at(number).apply(vectors)
    return _transformed(index.index, vectors)


def _parameters(index: faiss.Index, explored: int, chosen: faiss.IDSelector | None) -> faiss.SearchParameters:
    index = faiss.downcast_index(index)
    selected = {} if chosen is None else {"sel": chosen}
    if isinstance(index, faiss.IndexPreTransform):
        return faiss.SearchParametersPreTransform(index_params=_parameters(index.index, explored, chosen), **selected)
    if isinstance(index, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(efSearch=explored, **selected)
    if not isinstance(index, faiss.IndexIVF):
        return faiss.SearchParameters(**selected)
    kind = (
        faiss.IVFRaBitQSearchParameters
        if isinstance(index, faiss.IndexIVFRaBitQ | faiss.IndexIVFRaBitQFastScan)
        else faiss.SearchParametersIVF
    )
    if isinstance(faiss.downcast_index(index.quantizer), faiss.IndexHNSW):
        selected["quantizer_params"] = faiss.SearchParametersHNSW(efSearch=max(16, 2 * explored))
    return kind(nprobe=explored, **selected)
