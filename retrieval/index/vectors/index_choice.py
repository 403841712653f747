"""Which structure a segment's vectors get, decided before anything is built.

Structures, with the bytes that a vector of d dimensions takes in memory (the kept vectors stay on disk):

    exact                   0       every kept vector is read: for some tens of thousands, or where recall must be 1
    HNSW32,SQ8              d + 276 a graph over one byte a dimension: the fastest at high recall
    IVF…,PQ…x4fs            d/8 + 10 lists of half a byte for four dimensions, scanned with SIMD: small

All approximate candidates are rescored with the kept vectors.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from retrieval.index.storage.settings import MemoryBudget, VectorSettings

EXACT_ROWS = 40_000  # an exact scan of 384 dimensions takes about a millisecond here
LEAST_ROWS = 1000  # too few to measure recall on: exact, whatever an expert asks
HNSW_LINKS = 32
TRAINED_PER_LIST = 200  # k-means wants at least 39 vectors a centroid
TRAINED_LEAST = 20_000


@dataclass(frozen=True, slots=True)
class StructurePlan:
    """A structure to build over `rows` vectors; `factory` is FAISS's name for it."""

    factory: str
    rows: int
    dimension: int
    training_rows: int
    reason: str

    @property
    def bytes_per_vector(self) -> float:
        """What the two families take, from their layout; 0 for a factory string that is neither."""
        if self.factory.startswith("HNSW"):
            return self.dimension + 4 * 2 * HNSW_LINKS * 1.02 + 12
        if self.factory.startswith("IVF") and "x4fs" in self.factory:
            lists = list_count(self.rows)
            return self.dimension / 8 + 8 + lists * (4 * self.dimension + 1024) / self.rows
        return 0.0


def plan_structure(
    rows: int, dimension: int, settings: VectorSettings, available_bytes: int | None = None
) -> StructurePlan | None:
    """The structure for `rows` vectors, None for exact search.  `available_bytes`: memory to plan with, None to ask."""
    if rows == 0 or settings.memory == MemoryBudget.EXACT or settings.recall >= 1:
        return None
    if settings.structure and rows >= LEAST_ROWS:
        return StructurePlan(settings.structure, rows, dimension, _training_rows(rows, list_count(rows)), "as asked")
    if rows < EXACT_ROWS:
        return None
    available = available_memory_bytes() if available_bytes is None else available_bytes
    graph = StructurePlan(f"HNSW{HNSW_LINKS},SQ8", rows, dimension, min(rows, TRAINED_LEAST), "the fastest")
    if settings.memory == MemoryBudget.AUTO and graph.bytes_per_vector * rows <= available / 2:
        return graph
    lists = list_count(rows)
    asked = settings.memory == MemoryBudget.SMALL
    why = "small, as asked" if asked else "a graph would take more than half of the memory"
    return StructurePlan(_small_factory(dimension, lists), rows, dimension, _training_rows(rows, lists), why)


def list_count(rows: int) -> int:
    """Lists of an inverted file: the power of two near three quarters of the square root of the rows.

    More of them cost more than they spare: codes are scanned faster than centroids are compared and lists entered.
    """
    return 1 << max(3, round(math.log2(0.75 * math.sqrt(rows))))


def _small_factory(dimension: int, lists: int) -> str:
    if dimension % 4:
        return f"IVF{lists},SQ4"  # product quantisation needs equal parts of a few dimensions
    return f"IVF{lists},PQ{dimension // 4}x4fs"


def _training_rows(rows: int, lists: int) -> int:
    return min(rows, max(TRAINED_LEAST, TRAINED_PER_LIST * lists))


def available_memory_bytes() -> int:
    """Memory that this process could still use: the machine's, or its control group's where that is less."""
    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
        group = Path("/sys/fs/cgroup")
        limit, used = (group / "memory.max").read_text().strip(), (group / "memory.current").read_text()
        if limit != "max":
            available = min(available, max(0, int(limit) - int(used)))
    except (OSError, StopIteration, ValueError):
        pass  # not Linux, or no control group: the machine's figure stands
    return available
