"""Building a structure over the kept vectors of a finished segment, in bounded memory, and opening it again.

Trained on a sample; filled block by block from the memory map; measured and tuned before the rows held out for that
are added; written once.  At its peak a build holds the structure and some blocks, or the training sample.  A long
build writes what it has every few minutes, and an interrupted one goes on from there.
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

from retrieval.errors import CorruptCollection
from retrieval.index.storage.checksums import CheckedFile, FileRecord, record_file
from retrieval.index.vectors.exact import rows_as_float32
from retrieval.index.vectors.faiss_index import (
    BLOCK_ROWS,
    RowOrder,
    Structure,
    is_graph,
    make_index,
    mapped_code_bytes,
    read_structure,
    reserve,
    write_structure,
)
from retrieval.index.vectors.index_choice import StructurePlan
from retrieval.index.vectors.insertion_order import near_together
from retrieval.index.vectors.recall_queries import make_queries, of_both_kinds
from retrieval.index.vectors.recall_tuning import Tuner, Tuning
from retrieval.index.vectors.store import Kept
from retrieval.types import Rows, Vectors
from retrieval.util.files import Files, replace_atomically

HELD_OUT = 1000
HELD_OUT_SHARE = 0.05  # at most, of a small segment
CHECKPOINT_S = 300.0
SEED = 7

Progress = Callable[[str, int, int], None]  # what is being done, rows done, rows in all


@dataclass(frozen=True, slots=True)
class StructureFacts:
    """What a generation records of a structure; JSON-able by `to_json`."""

    factory: str
    rows: int
    dimension: int
    held_out: int
    size_bytes: int
    parsed_bytes: int  # from the start of the file: what FAISS interprets on opening; the rest are codes, only mapped
    training_rows: int
    build_seconds: float
    reason: str
    tuning: Tuning

    @property
    def bytes_per_vector(self) -> float:
        """Bytes of the structure, without the kept vectors."""
        return self.size_bytes / max(1, self.rows)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(**{**body, "tuning": Tuning.from_json(body["tuning"])})


def queried_rows(rows: int) -> Rows:
    """The rows from whose text queries may be made to measure the structure of so many vectors."""
    return RowOrder(rows, _held_out(rows)).held[1::2]


def _held_out(rows: int) -> int:
    return min(HELD_OUT, int(rows * HELD_OUT_SHARE))


def build_structure(
    vectors: Kept,
    plan: StructurePlan,
    target: float,
    path: Path,
    *,
    queries: Vectors | None = None,
    progress: Progress | None = None,
    files: Files | None = None,
) -> StructureFacts:
    """Build the structure of `plan` over `vectors` and write it to `path`, one new file.

    `queries`: vectors of queries made from the text of `queried_rows`; without them, queries are made from vectors.
    A long build leaves what it has beside `path`, with `.partial` after the name; what an interrupted build of the
    same plan left there is continued.
    """
    return _Build(vectors, plan, path, progress or _silent, files or Files()).run(target, queries)


def _silent(stage: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


class _Checkpoints:
    """What a long build has done so far: a structure file and, written after it, the record that makes it count."""

    def __init__(self, structure: Path, plan: StructurePlan, positions: Rows) -> None:
        """`positions`: in the order in which they are added."""
        self._path = structure.with_name(structure.name + ".partial")
        self._record = self._path.with_name(self._path.name + ".json")
        self._plan = {**asdict(plan), "order": zlib.crc32(positions.tobytes())}

    def write(self, index: faiss.Index, files: Files) -> None:
        """Replace the checkpoint."""
        self.remove(files)
        write_structure(index, self._path, files)
        record = record_file(self._path.parent, self._path.name)
        body = {"plan": self._plan, "size_bytes": record.size_bytes, "sha256": record.sha256}
        replace_atomically(self._record, json.dumps(body).encode(), files)

    def read(self, order: RowOrder) -> faiss.Index | None:
        """The index of a checkpoint of the same plan, if it is whole."""
        try:
            body = json.loads(self._record.read_bytes())
            if body["plan"] != self._plan:
                return None
            CheckedFile(self._path.parent, FileRecord(self._path.name, body["size_bytes"], body["sha256"])).require()
            return read_structure(self._path, order, mapped=False).index
        except (OSError, ValueError, KeyError, TypeError, CorruptCollection):
            return None

    def remove(self, files: Files) -> None:
        """The record first, so that it never names what is not there."""
        files.unlink(self._record)
        files.unlink(self._path)


class _Build:
    def __init__(
        self,
        vectors: Kept,
        plan: StructurePlan,
        path: Path,
        progress: Progress,
        files: Files,
    ) -> None:
        self.vectors = vectors
        self.plan = plan
        self.path = path
        self.progress = progress
        self.files = files
        self.order = RowOrder(len(vectors), _held_out(len(vectors)))

    def run(self, target: float, queries: Vectors | None) -> StructureFacts:
        started = time.monotonic()
        positions = self._positions()
        checkpoints = _Checkpoints(self.path, self.plan, positions)
        structure = self._filled(positions, checkpoints)
        self.progress("measuring", 0, len(self.vectors))
        tuning = self._tuned(structure, target, queries)
        structure.add(self.vectors, np.arange(self.order.base, len(self.vectors)))
        self.progress("adding", len(self.vectors), len(self.vectors))
        write_structure(structure.index, self.path, self.files)
        checkpoints.remove(self.files)
        return StructureFacts(
            factory=self.plan.factory,
            rows=len(self.vectors),
            dimension=self.plan.dimension,
            held_out=len(self.order.held),
            size_bytes=self.path.stat().st_size,
            parsed_bytes=self.path.stat().st_size - mapped_code_bytes(structure.index),
            training_rows=self.plan.training_rows,
            build_seconds=round(time.monotonic() - started, 3),
            reason=self.plan.reason,
            tuning=tuning,
        )

    def _positions(self) -> Rows:
        """All but those held out, in the order in which they are added."""
        positions = np.arange(self.order.base)
        if not is_graph(make_index(self.plan.factory, self.plan.dimension)):
            return positions
        return near_together(self.vectors, self.order.to_rows(positions), np.random.default_rng(SEED))

    def _filled(self, positions: Rows, checkpoints: _Checkpoints) -> Structure:
        """The structure over `positions`, from a checkpoint on if there is one."""
        structure = Structure(checkpoints.read(self.order) or self._trained(), self.order)
        reserve(structure.index, len(self.vectors))
        self._fill(structure, positions, checkpoints)
        if is_graph(structure.index):
            structure.rearrange(self.vectors, positions)
        return structure

    def _trained(self) -> faiss.Index:
        index = make_index(self.plan.factory, self.plan.dimension)
        if not index.is_trained:
            self.progress("training", 0, len(self.vectors))
            rng = np.random.default_rng(SEED)
            count = min(self.plan.training_rows, len(self.vectors))
            index.train(rows_as_float32(self.vectors, np.sort(rng.choice(len(self.vectors), count, replace=False))))
        return index

    def _fill(self, structure: Structure, positions: Rows, checkpoints: _Checkpoints) -> None:
        """Add those of `positions` that are not there yet."""
        written = time.monotonic()
        for start in range(structure.index.ntotal, len(positions), BLOCK_ROWS):
            structure.add(self.vectors, positions[start : start + BLOCK_ROWS])
            self.progress("adding", structure.index.ntotal, len(self.vectors))
            if time.monotonic() - written > CHECKPOINT_S:
                checkpoints.write(structure.index, self.files)
                written = time.monotonic()

    def _tuned(self, structure: Structure, target: float, queries: Vectors | None) -> Tuning:
        rng = np.random.default_rng(SEED)
        present = np.ones(len(self.vectors), dtype=np.bool_)
        present[self.order.held] = False
        tuner = Tuner(structure, self.vectors, present, target)
        held = np.asarray(self.vectors[self.order.held], dtype=np.float32)
        passages, origins = held[0::2], held[1::2]
        if queries is not None:
            return tuner.tune(of_both_kinds(passages, queries), "text", rng)
        others = np.asarray(self.vectors[np.sort(rng.integers(len(self.vectors), size=4096))], dtype=np.float32)
        return tuner.tune(of_both_kinds(passages, make_queries(origins, others, rng)), "vectors", rng)


def open_structure(path: Path, facts: StructureFacts) -> Structure:
    """Open a structure file, whose digest was checked, as `build_structure` left it."""
    structure = read_structure(path, RowOrder(facts.rows, facts.held_out))
    index = structure.index
    if index.ntotal != facts.rows or index.d != facts.dimension:
        raise CorruptCollection(
            f"holds {index.ntotal} vectors of {index.d} dimensions, not {facts.rows} of {facts.dimension}; "
            "merge to rebuild it",
            path=path,
        )
    return structure
