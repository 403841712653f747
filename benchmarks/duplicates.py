"""Time the report of near duplicates, and compare a sample with brute force.

Some documents of the corpus are added again with one or two words changed.  Brute force compares all pairs of the
sample; recall is the share of its similar pairs that are in one group, precision the share of the pairs in one group
that are similar.

python -m benchmarks.duplicates corpus.jsonl.gz [--documents 100000] [--sample 5000] [--threshold 0.8]
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from itertools import combinations, islice
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from indexer.writing.writer import Writer
from retrieval.index.collection.duplicates import find_duplicates
from retrieval.index.collection.index_reader import open_index_reader
from retrieval.index.storage.settings import Canaries, CollectionSettings, VectorSettings
from retrieval.types import Document, EncoderFingerprint, Passage
from retrieval.util.minhash import shingles

DIMENSION = 8
FINGERPRINT = EncoderFingerprint("none", "w", "t", "mean", True, "", "", 32, DIMENSION)
BLOCK = 10_000
COPIED = 0.05  # of the documents


def documents(corpus: Path, count: int, seed: int) -> Iterator[Document]:
    """Yield documents of a corpus, and near copies of some of them."""
    rng = random.Random(seed)
    with gzip.open(corpus, "rt") if corpus.suffix == ".gz" else corpus.open() as lines:
        for line in islice(lines, round(count / (1 + COPIED))):
            record = json.loads(line)
            document = Document(record["_id"], record["text"], record.get("title", ""))
            yield document
            if rng.random() < COPIED:
                words = document.text.split(" ")
                for _ in range(rng.randint(1, 2)):
                    words[rng.randrange(len(words))] = rng.choice(["other", "word", "one", "another"])
                yield Document(f"{document.id}-copy", " ".join(words), document.title)


def build(path: Path, made: Iterator[Document]) -> None:
    """Write a collection with vectors that nothing reads."""
    vectors = np.eye(DIMENSION, dtype=np.float32)
    canaries = Canaries(("a",), vectors[:1])
    settings = CollectionSettings(
        FINGERPRINT, "torch", "float32", canaries, lexical=None, vectors=VectorSettings(structure="Flat")
    )
    with Writer(path, create=settings) as writer:
        while block := list(islice(made, BLOCK)):
            passages = [[Passage(0, len(each.text))] for each in block]
            writer.add(block, passages, np.repeat(vectors[:1], len(block), axis=0))
        writer.commit()


def similar_pairs(texts: list[str], threshold: float) -> set[tuple[int, int]]:
    """Return the pairs of texts that are similar enough, by comparing all."""
    hashes, owners = shingles(texts)
    columns = np.unique(hashes, return_inverse=True)[1]
    matrix = csr_matrix((np.ones(len(columns)), (owners, columns)))
    matrix.data[:] = 1.0
    sizes = np.diff(matrix.indptr)
    common = (matrix @ matrix.T).tocoo()
    similarity = common.data / (sizes[common.row] + sizes[common.col] - common.data)
    found = (similarity >= threshold) & (common.row < common.col)
    return set(zip(common.row[found].tolist(), common.col[found].tolist(), strict=True))


def main() -> None:
    """Print seconds, memory, precision and recall."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--sample", type=int, default=5_000)
    parser.add_argument("--threshold", type=float, default=0.8)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder) / "made", documents(given.corpus, given.documents, given.seed))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with open_index_reader(Path(folder) / "made") as reader:
            started = time.perf_counter()
            groups = find_duplicates(reader, given.threshold)
            seconds = time.perf_counter() - started
            after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            rows = np.flatnonzero(reader.live_documents)[: given.sample]
            texts, ids = ["\n".join(each) for each in reader.texts(rows)], reader.ids(rows)
            count = len(reader.live_documents)
    number = {id_: position for position, id_ in enumerate(ids)}
    members = [sorted(number[each.id] for each in group.documents if each.id in number) for group in groups]
    grouped = {pair for group in members for pair in combinations(group, 2)}
    true = similar_pairs(texts, given.threshold)
    print(f"{count:,} documents, {sum(len(group.documents) for group in groups):,} in {len(groups):,} groups")
    print(f"{seconds:.1f} s; peak memory {after / 1024:,.0f} MiB, {before / 1024:,.0f} MiB before")
    print(f"sample of {len(rows):,}: {len(true):,} similar pairs, {len(grouped):,} pairs in one group")
    found = len(true & grouped)
    print(f"recall {found / max(1, len(true)):.4f}, precision {found / max(1, len(grouped)):.4f}")


if __name__ == "__main__":
    main()
