"""Build an ANN index over the stored vectors of a segment, and open it.

The build needs bounded memory: the index and some blocks, or the training sample.  Of equal vectors it takes the first
only, and keeps the others in a file beside the index (see equal_vectors.py).  It trains the index on a sample,
adds vectors block by block from the memory map, measures and tunes it, adds the rows held out for the measurement, and
writes it once.  A long build writes a checkpoint every few minutes; after an interruption, the next build continues
from it.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.errors import CorruptCollection
from retrieval.index.storage.checksums import CheckedFile, FileRecord, record_file
from retrieval.index.vectors.equal_vectors import EqualVectors
from retrieval.index.vectors.exact import rows_as_float32
from retrieval.index.vectors.faiss_index import (
    BLOCK_ROWS,
    FaissIndex,
    RowOrder,
    is_graph,
    make_index,
    mapped_code_bytes,
    read_faiss_index,
    reserve,
    write_faiss_index,
)
from retrieval.index.vectors.index_choice import AnnIndexPlan
from retrieval.index.vectors.recall_queries import interleave, make_queries
from retrieval.index.vectors.recall_tuning import Tuner, Tuning
from retrieval.index.vectors.store import StoredVectors
from retrieval.types import Rows, Vectors
from retrieval.util.files import Files
from retrieval.util.temporaries import replace_atomically

HELD_OUT = 1000
HELD_OUT_SHARE = 0.05  # of a small segment, at most
CHECKPOINT_S = 300.0
SEED = 7

# Of the order in which a graph takes its vectors, see `order_by_neighborhood`.
ROWS_PER_CLUSTER = 1024
MAX_CLUSTERS = 2048  # finding the nearest of more clusters would take longer than they save
TRAINED_PER_CLUSTER = 40
KMEANS_ROUNDS = 4
FIRST_SHARE = 0.1

Progress = Callable[[str, int, int], None]  # stage, rows done, rows in total


@dataclass(frozen=True, slots=True)
class AnnIndexFacts:
    """The facts about an ANN index that a generation records as JSON."""

    factory: str
    rows: int
    dimension: int
    held_out: int
    size_bytes: int
    parsed_bytes: int  # from the start of the file: FAISS parses them on opening; the other bytes are mapped codes
    training_rows: int
    build_seconds: float
    reason: str
    tuning: Tuning
    copies: int = 0  # rows with the vector of an earlier row, which are not in the index

    @property
    def recall(self) -> float:
        """The measured recall@10 of the worse kind of queries."""
        return min(self.tuning.passages.recall, self.tuning.queries.recall)

    @property
    def reaches_target(self) -> bool:
        """Whether approximate search keeps the promised recall; if not, search is exact."""
        return self.recall >= self.tuning.target

    @property
    def bytes_per_vector(self) -> float:
        """The size of the index per vector, without the stored vectors."""
        return self.size_bytes / max(1, self.rows)

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """Read the values of `to_json`."""
        return cls(**{**body, "tuning": Tuning.from_json(body["tuning"])})


def build_faiss_index(
    vectors: StoredVectors,
    equal: EqualVectors,
    plan: AnnIndexPlan,
    target: float,
    path: Path,
    *,
    progress: Progress | None = None,
    files: Files | None = None,
) -> AnnIndexFacts:
    """Build the index of `plan`, tune it, and write it to the new file `path`.

    equal: the groups of equal vectors; `plan` is for one vector of each group.  target: recall@10 that the index must
    reach, for queries that the build makes from vectors.  A long build leaves checkpoints beside `path`, with
    `.partial` after its name; the next build of the same plan continues from them.
    """
    progress = progress or (lambda *_: None)
    return _IndexBuild(vectors, equal, plan, path, progress, files or Files()).run(target)


class _Checkpoints:
    """The checkpoint of a long build: an index, then a record that makes it valid.

    positions: in the order in which the build adds them.
    """

    def __init__(self, path: Path, plan: AnnIndexPlan, positions: Rows) -> None:
        self._path = path.with_name(path.name + ".partial")
        self._record = self._path.with_name(self._path.name + ".json")
        self._plan = {**asdict(plan), "order": zlib.crc32(positions.tobytes())}

    def write(self, index: faiss.Index, files: Files) -> None:
        self.remove(files)
        write_faiss_index(index, self._path, files)
        record = record_file(self._path.parent, self._path.name)
        body = {"plan": self._plan, "size_bytes": record.size_bytes, "sha256": record.sha256}
        replace_atomically(self._record, json.dumps(body).encode(), files)

    def read(self, order: RowOrder) -> faiss.Index | None:
        """Read the index of a complete checkpoint of the same plan; None without one."""
        try:
            body = json.loads(self._record.read_bytes())
            if body["plan"] != self._plan:
                return None
            CheckedFile(self._path.parent, FileRecord(self._path.name, body["size_bytes"], body["sha256"])).require()
            return read_faiss_index(self._path, order, mapped=False).index
        except (OSError, ValueError, KeyError, TypeError, CorruptCollection):
            return None

    def remove(self, files: Files) -> None:
        files.unlink(self._record)  # first, so that it never names a missing file
        files.unlink(self._path)


class _IndexBuild:
    def __init__(
        self,
        vectors: StoredVectors,
        equal: EqualVectors,
        plan: AnnIndexPlan,
        path: Path,
        progress: Progress,
        files: Files,
    ) -> None:
        self.vectors = vectors
        self.plan = plan
        self.path = path
        self.progress = progress
        self.files = files
        self.order = RowOrder(equal, min(HELD_OUT, int(equal.distinct * HELD_OUT_SHARE)))

    def run(self, target: float) -> AnnIndexFacts:
        started = time.monotonic()
        positions = self._positions()
        checkpoints = _Checkpoints(self.path, self.plan, positions)
        ann_index = self._fill(positions, checkpoints)
        self.progress("measuring", 0, len(self.order))
        tuning = self._tune(ann_index, target)
        ann_index.add(self.vectors, np.arange(self.order.base, len(self.order)))
        self.progress("adding", len(self.order), len(self.order))
        write_faiss_index(ann_index.index, self.path, self.files)
        checkpoints.remove(self.files)
        size_bytes = self.path.stat().st_size
        return AnnIndexFacts(
            factory=self.plan.factory,
            rows=len(self.order),
            dimension=self.plan.dimension,
            held_out=len(self.order.held),
            size_bytes=size_bytes,
            parsed_bytes=size_bytes - mapped_code_bytes(ann_index.index),
            training_rows=self.plan.training_rows,
            build_seconds=round(time.monotonic() - started, 3),
            reason=self.plan.reason,
            tuning=tuning,
            copies=len(self.order.equal),
        )

    def _positions(self) -> Rows:
        """Return the positions that are not held out, in the order of adding."""
        positions = np.arange(self.order.base)
        if not is_graph(make_index(self.plan.factory, self.plan.dimension)):
            return positions
        return order_by_neighborhood(self.vectors, self.order.to_rows(positions), np.random.default_rng(SEED))

    def _fill(self, positions: Rows, checkpoints: _Checkpoints) -> FaissIndex:
        """Make the index of `positions`, from a checkpoint if there is one."""
        ann_index = FaissIndex(checkpoints.read(self.order) or self._train(), self.order)
        reserve(ann_index.index, len(self.order))
        self._add(ann_index, positions, checkpoints)
        if is_graph(ann_index.index):
            ann_index.rearrange(self.vectors, positions)
        return ann_index

    def _train(self) -> faiss.Index:
        index = make_index(self.plan.factory, self.plan.dimension)
        if not index.is_trained:
            self.progress("training", 0, len(self.order))
            rng = np.random.default_rng(SEED)
            count = min(self.plan.training_rows, len(self.order))
            sample = self.order.to_rows(np.sort(rng.choice(len(self.order), count, replace=False)))
            index.train(rows_as_float32(self.vectors, sample))
        return index

    def _add(self, ann_index: FaissIndex, positions: Rows, checkpoints: _Checkpoints) -> None:
        """Add the positions that a checkpoint does not contain."""
        written = time.monotonic()
        for start in range(ann_index.index.ntotal, len(positions), BLOCK_ROWS):
            ann_index.add(self.vectors, positions[start : start + BLOCK_ROWS])
            self.progress("adding", ann_index.index.ntotal, len(self.order))
            if time.monotonic() - written > CHECKPOINT_S:
                checkpoints.write(ann_index.index, self.files)
                written = time.monotonic()

    def _tune(self, ann_index: FaissIndex, target: float) -> Tuning:
        rng = np.random.default_rng(SEED)
        present = np.zeros(len(self.vectors), dtype=np.bool_)
        present[self.order.to_rows(np.arange(self.order.base))] = True
        tuner = Tuner(ann_index, self.vectors, present, target)
        held = np.asarray(self.vectors[self.order.held], dtype=np.float32)
        passages, origins = held[0::2], held[1::2]
        others = np.asarray(self.vectors[np.sort(rng.integers(len(self.vectors), size=4096))], dtype=np.float32)
        return tuner.tune(interleave(passages, make_queries(origins, others, rng)), rng)


def open_faiss_index(path: Path, facts: AnnIndexFacts, copies: NDArray[np.int64] | None = None) -> FaissIndex:
    """Open a built index, after its digest is checked.  Raises CorruptCollection.

    copies: those of `EqualVectors`; None if `facts` counts none.
    """
    equal = EqualVectors(facts.rows + facts.copies, copies)
    if len(equal) != facts.copies:
        found = f"{len(equal)} copies of vectors"
        raise CorruptCollection(f"comes with {found}, not {facts.copies}; merge to rebuild it", path=path)
    ann_index = read_faiss_index(path, RowOrder(equal, facts.held_out))
    index = ann_index.index
    if index.ntotal != facts.rows or index.d != facts.dimension:
        found = f"{index.ntotal} vectors of {index.d} dimensions"
        raise CorruptCollection(f"has {found}, not {facts.rows} of {facts.dimension}; merge to rebuild it", path=path)
    return ann_index


def order_by_neighborhood(vectors: StoredVectors, rows: Rows, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the order in which a graph takes vectors: the positions in `rows`.

    Inserting a vector reads its neighbours.  If the previous insertions read them, too, they are in the processor's
    cache; in the order of a collection, hardly any of them are.  So near rows follow each other, cluster by cluster.
    A share of rows from all clusters comes first, so that the graph gets long links.
    """
    clusters = min(MAX_CLUSTERS, len(rows) // ROWS_PER_CLUSTER)
    if clusters < 2:
        return np.arange(len(rows))
    sample = np.sort(rng.choice(rows, TRAINED_PER_CLUSTER * clusters, replace=False))
    cluster = _nearest(vectors, rows, _chain(_centroids(rows_as_float32(vectors, sample), clusters)))
    cluster[rng.random(len(rows)) < FIRST_SHARE] = -1
    return np.argsort(cluster, kind="stable")


def _centroids(sample: Vectors, clusters: int) -> Vectors:
    means = faiss.Kmeans(sample.shape[1], clusters, niter=KMEANS_ROUNDS, spherical=True)
    means.train(sample)
    return np.asarray(means.centroids)


def _chain(centroids: Vectors) -> Vectors:
    """Order centroids so that each is followed by the nearest of the remaining ones."""
    chain, remaining = [0], np.arange(1, len(centroids))
    while len(remaining):
        nearest = int(np.argmax(centroids[remaining] @ centroids[chain[-1]]))
        chain.append(int(remaining[nearest]))
        remaining = np.delete(remaining, nearest)
    return np.ascontiguousarray(centroids[chain])


def _nearest(vectors: StoredVectors, rows: Rows, centroids: Vectors) -> NDArray[np.int64]:
    """Return the number of the centroid nearest to each row."""
    index = faiss.IndexFlatIP(centroids.shape[1])
    index.add(centroids)
    found = np.empty(len(rows), np.int64)
    for start in range(0, len(rows), BLOCK_ROWS):
        block = rows_as_float32(vectors, rows[start : start + BLOCK_ROWS])
        found[start : start + len(block)] = index.search(block, 1)[1][:, 0]
    return found
