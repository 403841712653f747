"""Measure the cost of a change in a large collection.

    python -m benchmarks.changes                       # 500,000 documents, random vectors of 384 dimensions
    python -m benchmarks.changes --documents 50000 --structure

Encoding aside: the vectors are random.  Each change is timed from the first call until a reader has opened the
generation that has it.  Beside it stands SQLite (FTS5, no vectors), one transaction with fsync for the same documents.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import resource
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexer.maintenance.background_merge import merge_collection
from indexer.maintenance.backup import save_backup
from indexer.maintenance.verify import verify
from indexer.writing.writer import Writer
from retrieval.index.collection.index_reader import open_index_reader
from retrieval.index.storage.settings import Canaries, CollectionSettings, LexicalSettings, VectorSettings
from retrieval.types import Document, EncoderFingerprint, Passage, Vectors

DIMENSION = 384
BLOCK = 2048
WORDS = 50_000


@dataclass(frozen=True, slots=True)
class Source:
    """Documents of a few dozen words with natural frequencies, and random vectors."""

    seed: int = 0

    def documents(self, first: int, count: int, version: int = 0) -> list[Document]:
        """Documents by number; another version has another text."""
        return [Document(f"d{number}", self._text(number, version)) for number in range(first, first + count)]

    def _text(self, number: int, version: int) -> str:
        dice = random.Random(f"{self.seed} {number} {version}")
        return " ".join(f"word{int(WORDS ** dice.random())}" for _ in range(dice.randint(10, 60)))

    def vectors(self, count: int) -> Vectors:
        """Random unit vectors: (count, DIMENSION)."""
        vectors: Vectors = np.random.default_rng(self.seed).standard_normal((count, DIMENSION)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors


def timed(name: str, work: Callable[[], object], times: int = 1) -> float:
    """Run `work`, and print and return its median time."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    median = statistics.median(taken)
    print(f"{name:<58} {median:9.3f} s", flush=True)
    return median


def settings(*, structure: bool) -> CollectionSettings:
    """Return the settings of a collection whose vectors are random."""
    encoder = EncoderFingerprint("random", "0", "0", "mean", True, "", "", 256, DIMENSION)
    canaries = Canaries((), np.empty((0, DIMENSION), np.float32))
    vectors = VectorSettings() if structure else VectorSettings(memory="exact")
    return CollectionSettings(encoder, "none", "f32", canaries, lexical=LexicalSettings(), vectors=vectors)


def whole(documents: Sequence[Document]) -> list[list[Passage]]:
    """Make one passage of each document."""
    return [[Passage(0, len(each.text))] for each in documents]


class Bench:
    """One collection and the changes to it."""

    def __init__(self, path: Path, source: Source, count: int, made: CollectionSettings) -> None:
        self.path = path
        self.source = source
        self.count = count
        self.settings = made
        self.next = count
        self.version = 0
        self.originals = source.documents(0, count)

    def blocks(self) -> Iterator[list[Document]]:
        """Yield the first documents in blocks."""
        for first in range(0, self.count, BLOCK):
            yield self.originals[first : first + BLOCK]

    def index(self) -> None:
        """Run the first build, or one without a change."""
        with Writer(self.path, create=self.settings, cause="index") as writer:
            for documents in self.blocks():
                known = writer.unchanged(documents)
                new = [each for each, same in zip(documents, known, strict=True) if not same]
                writer.add(new, whole(new), self.source.vectors(len(new)))
            writer.commit()

    def put(self, documents: Sequence[Document]) -> None:
        """Add documents until a reader finds them."""
        with Writer(self.path, cause="add") as writer:
            writer.add(documents, whole(documents), self.source.vectors(len(documents)))
            writer.commit()
        with open_index_reader(self.path) as reader:
            assert reader.find(documents[-1].id) is not None

    def add(self, count: int) -> None:
        """Add new documents."""
        self.put(self.source.documents(self.next, count))
        self.next += count

    def update(self, count: int) -> None:
        """Give documents another text."""
        self.version += 1
        self.put(self.source.documents(self.version * count, count, self.version))

    def delete(self) -> None:
        """Delete a document."""
        with Writer(self.path, cause="delete") as writer:
            self.next -= 1
            assert writer.delete([f"d{self.next}"]) == 1
            writer.commit()


def beside(folder: Path, source: Source, documents: Sequence[Document]) -> None:
    """Measure the same additions to SQLite's full-text index."""
    connection = sqlite3.connect(folder / "peer.db")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE VIRTUAL TABLE documents USING fts5(id UNINDEXED, text)")
    some = source.documents(len(documents), 100)

    def add(new: Sequence[Document]) -> None:
        with connection:
            connection.executemany("INSERT INTO documents VALUES (?, ?)", ((each.id, each.text) for each in new))

    timed(f"SQLite FTS5: insert {len(documents):,}", lambda: add(documents))
    timed("SQLite FTS5: insert 100, committed", lambda: add(some), times=5)
    connection.close()


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=500_000)
    parser.add_argument("--structure", action="store_true", help="build the default FAISS structure, too")
    parser.add_argument("--folder", type=Path, help="where to put the collection (default: a temporary directory)")
    given = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(dir=given.folder, prefix="attendex-changes-"))
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, {folder}")
    try:
        run(folder, given.documents, structure=given.structure)
    finally:
        shutil.rmtree(folder)


def run(folder: Path, count: int, *, structure: bool) -> None:
    source = Source()
    bench = Bench(folder / "collection", source, count, settings(structure=structure))
    first = timed(f"index {count:,} documents (encoding aside)", bench.index)
    again = timed("index again, nothing changed", bench.index)
    print(f"{'':<58} {again / first:9.1%} of the first build, encoding aside")
    timed("open a reader", lambda: open_index_reader(bench.path).close(), times=5)
    timed("add 1 document until searchable", lambda: bench.add(1), times=5)
    timed("add 100 documents until searchable", lambda: bench.add(100), times=5)
    timed("update 100 documents until searchable", lambda: bench.update(100), times=5)
    timed("delete 1 document", bench.delete, times=5)
    timed("back up", lambda: save_backup(bench.path, folder / "backup.tar.zst"))
    timed("merge into one segment", lambda: merge_collection(bench.path, fully=True))
    timed("verify everything", lambda: verify(bench.path))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{'peak memory, mapped files included':<58} {peak_mb:9.0f} MB")
    beside(folder, source, bench.originals)


if __name__ == "__main__":
    main(sys.argv[1:])
