"""The order in which a graph takes its vectors: near ones together.

Whoever is added looks at its neighbourhood.  Where that was looked at a moment ago, it is in the processor's cache; in
the order of a collection almost nothing is.  Some rows from everywhere come first, so that the graph has long links.
"""

from __future__ import annotations

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.index.vectors.exact import rows_as_float32
from retrieval.index.vectors.store import Kept
from retrieval.types import Rows, Vectors

ROWS_PER_CLUSTER = 1024
MOST_CLUSTERS = 2048  # finding the nearest of more would take longer than they spare
TRAINED_PER_CLUSTER = 40
ROUNDS = 4  # of k-means
FIRST_SHARE = 0.1
BLOCK_ROWS = 1 << 12


def near_together(vectors: Kept, rows: Rows, rng: np.random.Generator) -> NDArray[np.int64]:
    """A permutation of the places of `rows`: some from everywhere, then the others by the cluster that they are in."""
    clusters = min(MOST_CLUSTERS, len(rows) // ROWS_PER_CLUSTER)
    if clusters < 2:
        return np.arange(len(rows))
    sample = np.sort(rng.choice(rows, TRAINED_PER_CLUSTER * clusters, replace=False))
    cluster = _nearest(vectors, rows, _chained(_centroids(rows_as_float32(vectors, sample), clusters)))
    cluster[rng.random(len(rows)) < FIRST_SHARE] = -1
    return np.argsort(cluster, kind="stable")


def _centroids(sample: Vectors, clusters: int) -> Vectors:
    means = faiss.Kmeans(sample.shape[1], clusters, niter=ROUNDS, spherical=True)
    means.train(sample)
    return np.asarray(means.centroids)


def _chained(centroids: Vectors) -> Vectors:
    """Each followed by the nearest of those that are left."""
    chain, left = [0], np.arange(1, len(centroids))
    while len(left):
        nearest = int(np.argmax(centroids[left] @ centroids[chain[-1]]))
        chain.append(int(left[nearest]))
        left = np.delete(left, nearest)
    return np.ascontiguousarray(centroids[chain])


def _nearest(vectors: Kept, rows: Rows, centroids: Vectors) -> NDArray[np.int64]:
    """The number of the centroid nearest to each row."""
    index = faiss.IndexFlatIP(centroids.shape[1])
    index.add(centroids)
    found = np.empty(len(rows), np.int64)
    for start in range(0, len(rows), BLOCK_ROWS):
        block = rows_as_float32(vectors, rows[start : start + BLOCK_ROWS])
        found[start : start + len(block)] = index.search(block, 1)[1][:, 0]
    return found
