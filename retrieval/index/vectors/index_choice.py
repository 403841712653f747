"""Choose the ANN index of a segment's vectors, before anything is built.

The choices, with the bytes of memory per vector of d dimensions (the stored vectors stay on disk):

    exact                   0        reads every stored vector: for up to some ten thousand, or if recall must be 1
    HNSW32,SQ8              d + 276  a graph over one byte per dimension: the fastest at high recall
    IVF…,PQ…x4fs            d/8 + 10 lists of half a byte for four dimensions, scanned with SIMD: small

The stored vectors give the scores of all candidates.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from retrieval.index.storage.settings import MemoryBudget, VectorSettings

EXACT_ROWS = 40_000  # an exact scan of 384 dimensions takes about a millisecond here
MIN_ROWS = 1000  # fewer rows cannot measure recall: exact search, even if the settings name an index
HNSW_LINKS = 32
TRAINED_PER_LIST = 200  # vectors; k-means requires at least 39 for each centroid
MIN_TRAINED = 20_000


@dataclass(frozen=True, slots=True)
class AnnIndexPlan:
    """The plan of an ANN index over `rows` vectors."""

    factory: str  # factory string of FAISS
    rows: int
    dimension: int
    training_rows: int
    reason: str

    @property
    def bytes_per_vector(self) -> float:
        """The memory of a vector; 0 for a factory string from the settings."""
        if self.factory.startswith("HNSW"):
            return self.dimension + 4 * 2 * HNSW_LINKS * 1.02 + 12
        if self.factory.startswith("IVF") and "x4fs" in self.factory:
            lists = list_count(self.rows)
            return self.dimension / 8 + 8 + lists * (4 * self.dimension + 1024) / self.rows
        return 0.0


def choose_ann_index(
    rows: int, dimension: int, settings: VectorSettings, available_bytes: int | None = None
) -> AnnIndexPlan | None:
    """Plan the ANN index of `rows` vectors; None for exact search.

    available_bytes: memory to plan with; by default, the memory that this process can still use.
    """
    if rows == 0 or settings.memory == MemoryBudget.EXACT or settings.recall >= 1:
        return None
    if settings.structure and rows >= MIN_ROWS:
        return AnnIndexPlan(settings.structure, rows, dimension, _training_rows(rows, list_count(rows)), "as set")
    if rows < EXACT_ROWS:
        return None
    available = available_memory_bytes() if available_bytes is None else available_bytes
    graph = AnnIndexPlan(f"HNSW{HNSW_LINKS},SQ8", rows, dimension, min(rows, MIN_TRAINED), "the fastest")
    if settings.memory == MemoryBudget.AUTO and graph.bytes_per_vector * rows <= available / 2:
        return graph
    lists = list_count(rows)
    is_set = settings.memory == MemoryBudget.SMALL
    reason = "small, as set" if is_set else "a graph would take more than half of the memory"
    codes = "SQ4" if dimension % 4 else f"PQ{dimension // 4}x4fs"  # PQ needs equal parts of four dimensions
    return AnnIndexPlan(f"IVF{lists},{codes}", rows, dimension, _training_rows(rows, lists), reason)


def list_count(rows: int) -> int:
    """Return the number of inverted lists: the power of two near 3/4 √rows."""
    # More lists cost more than they save: FAISS scans codes faster than it compares centroids and enters lists.
    return 1 << max(3, round(math.log2(0.75 * math.sqrt(rows))))


def _training_rows(rows: int, lists: int) -> int:
    return min(rows, max(MIN_TRAINED, TRAINED_PER_LIST * lists))


def available_memory_bytes() -> int:
    """Return the available memory of the machine, or of the control group if less."""
    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
        group = Path("/sys/fs/cgroup")
        limit, used = (group / "memory.max").read_text().strip(), (group / "memory.current").read_text()
        if limit != "max":
            available = min(available, max(0, int(limit) - int(used)))
    except (OSError, StopIteration, ValueError):
        pass  # not Linux, or no control group: keep the machine's memory
    return available
