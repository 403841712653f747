"""A sample of a generation's vectors in two dimensions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.index.collection.index_reader import IndexReader
from retrieval.types import Rows

SAMPLE = 2_000


@dataclass(frozen=True, slots=True)
class Projection:
    """Passage rows and their places, x and y from 0 to 1; `explained` is the share of the spread that each shows."""

    rows: Rows
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    explained: tuple[float, float]


def project(reader: IndexReader, sample: int = SAMPLE, seed: int = 0) -> Projection:
    """The first two principal components of at most `sample` live passages, drawn evenly."""
    rows = np.flatnonzero(reader.live).astype(np.int64)
    if len(rows) > sample:
        rows = np.sort(np.random.default_rng(seed).choice(rows, sample, replace=False))
    places, explained = principal(_vectors(reader, rows))
    scaled = _within_one(places)
    return Projection(rows, scaled[:, 0], scaled[:, 1], explained)


def principal(vectors: NDArray[np.float32]) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """(n, d) → places (n, 2) along the two widest directions, and the share of the variance along each.

    The sign of a direction is that of its largest entry, so that equal vectors give equal pictures.
    """
    if len(vectors) < 2:
        return np.zeros((len(vectors), 2)), (0.0, 0.0)
    centred = (vectors - vectors.mean(0)).astype(np.float64)
    variances, directions = np.linalg.eigh(centred.T @ centred)
    widest = directions[:, [-1, -2]]
    widest = widest * np.sign(widest[np.abs(widest).argmax(0), [0, 1]])
    total = float(variances.sum()) or 1.0
    return centred @ widest, (float(variances[-1] / total), float(variances[-2] / total))


def _vectors(reader: IndexReader, rows: Rows) -> NDArray[np.float32]:
    """Kept vectors of ascending rows, (n, dimension)."""
    parts = []
    start = 0
    for segment in reader.segments:
        mine = rows[(rows >= start) & (rows < start + len(segment.vectors))] - start
        parts.append(segment.vectors[mine].astype(np.float32))
        start += len(segment.vectors)
    return np.concatenate(parts) if parts else np.empty((0, reader.manifest.encoder.dimension), np.float32)


def _within_one(places: NDArray[np.float64]) -> NDArray[np.float32]:
    if not len(places):
        return places.astype(np.float32)
    low, high = places.min(0), places.max(0)
    scaled: NDArray[np.float32] = ((places - low) / np.where(high > low, high - low, 1)).astype(np.float32)
    return scaled
