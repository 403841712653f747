"""Vectors and queries of the benchmark: from a file, or synthetic clusters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from retrieval.index.vectors.exact import FlatVectors, exact_search
from retrieval.index.vectors.recall_queries import make_queries
from retrieval.index.vectors.store import StoredVectors, VectorWriter, open_vectors
from retrieval.types import Bitmap, Ranking, Vectors

K = 10
QUERIES = 1000
BLOCK_ROWS = 1 << 15


def synthetic_vectors(path: Path, rows: int, dimension: int, seed: int = 0) -> None:
    """Write unit vectors with topics inside themes.

    The sizes are very unequal, and few directions have most of the variance.

    Sizes follow Zipf's law, as topics of real collections do; the spectrum falls off, as that of encoders does.  Spread
    was chosen so that neighbours are as similar, and as scattered over k-means lists, as those of encoded trivia.
    """
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.standard_normal((dimension, dimension)))[0].astype(np.float32)
    spectrum = (1 + np.arange(dimension)) ** -0.5
    themes = rng.standard_normal((200, dimension)) * spectrum
    topics = np.repeat(themes, 100, axis=0) + rng.standard_normal((20_000, dimension)) * spectrum
    shares = 1 / (1 + rng.permutation(len(topics))) ** 0.7
    with VectorWriter(path, dimension) as writer:
        for start in range(0, rows, BLOCK_ROWS):
            count = min(BLOCK_ROWS, rows - start)
            chosen = rng.choice(len(topics), size=count, p=shares / shares.sum())
            block = topics[chosen] + 1.5 * rng.standard_normal((count, dimension), dtype=np.float32) * spectrum
            block = block.astype(np.float32) @ rotation
            writer.append(block / np.linalg.norm(block, axis=1, keepdims=True))


@dataclass(frozen=True, slots=True)
class Held:
    """The vectors to index, the queries, and their exact results."""

    vectors: StoredVectors
    passages: Vectors
    made: Vectors

    @classmethod
    def load(cls, work: Path) -> Self:
        """Read the files of `hold_out`."""
        return cls(open_vectors(work / "vectors.npy"), np.load(work / "passages.npy"), np.load(work / "made.npy"))

    @property
    def rows(self) -> int:
        return len(self.vectors)

    def queries(self, kind: str) -> Vectors:
        """Return the held-out rows ("passages"), or queries made from them ("made")."""
        return self.passages if kind == "passages" else self.made

    def recall(self, search: Callable[[Vectors], list[Ranking]], kind: str, allowed: Bitmap | None) -> float:
        """Compute the mean recall@10; rows with the score of the tenth count, too."""
        queries = self.queries(kind)
        if allowed is not None:
            queries = queries[: len(queries) // 4]
        truth = self._truth(kind, queries, allowed)
        hits = [
            np.isin(found.rows[:K], best.rows[best.scores >= best.scores[K - 1]]).sum() / K
            for found, best in zip(search(queries), truth, strict=True)
        ]
        return float(np.mean(hits))

    def _truth(self, kind: str, queries: Vectors, allowed: Bitmap | None) -> list[Ranking]:
        if allowed is not None:
            return exact_search(FlatVectors(self.vectors), queries, 2 * K, allowed)
        return _exact(self, kind)


_TRUTHS: dict[Any, list[Ranking]] = {}  # of this process, by kind of queries


def _exact(held: Held, kind: str) -> list[Ranking]:
    if kind not in _TRUTHS:
        _TRUTHS[kind] = exact_search(FlatVectors(held.vectors), held.queries(kind), 2 * K)
    return _TRUTHS[kind]


def hold_out(source: Path, work: Path) -> Held:
    """Split the vectors of `source` into queries and indexed vectors, in `work`."""
    vectors = open_vectors(source)
    held = np.arange(QUERIES) * len(vectors) // QUERIES
    kept = np.ones(len(vectors), dtype=np.bool_)
    kept[held] = False
    with VectorWriter(work / "vectors.npy", vectors.shape[1], vectors.dtype) as writer:
        for start in range(0, len(vectors), BLOCK_ROWS):
            writer.append(np.asarray(vectors[start : start + BLOCK_ROWS][kept[start : start + BLOCK_ROWS]], np.float32))
    rng = np.random.default_rng(1)
    passages = np.asarray(vectors[held], dtype=np.float32)
    others = np.asarray(vectors[np.sort(rng.integers(len(vectors), size=4096))], dtype=np.float32)
    np.save(work / "passages.npy", passages)
    np.save(work / "made.npy", make_queries(passages, others, rng))
    return Held.load(work)
