"""Speed of sparse search: pruned by MaxScore, compared with scoring all postings.

    python -m benchmarks.sparse COLLECTION --beir FOLDER [--passages 200000] [--queries 100] [-k 10] [--seed 0]

The collection has a sparse index.  The script makes a larger index of the same kind in a temporary folder: each of its
passages has the terms of two passages of the collection, half of each.  It asks the queries of the BEIR folder, and
checks that both ways give the same answer.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import describe
from retrieval.encoder.sparse import load_sparse_encoder
from retrieval.index.collection.index_reader import IndexReader, open_index_reader
from retrieval.index.lexical.impact_writer import ImpactWriter
from retrieval.index.lexical.postings_writer import open_segments
from retrieval.index.lexical.scorers import ExhaustiveScorer, MaxScoreScorer
from retrieval.index.lexical.sparse_reader import SparseReader, open_sparse
from retrieval.index.storage.manifest import LEXICAL, PostingsRecord
from retrieval.index.storage.settings import SparseSettings
from retrieval.metrics.tasks import TaskSource, read_task
from retrieval.types import Ranking, SparseVector, TermWeights
from retrieval.util.files import Files

BLOCK = 4_096  # passages written at a time


def read_vectors(reader: IndexReader) -> tuple[list[SparseVector], list[str]]:
    """Return the weights of all indexed passages, and the texts of the terms."""
    record, settings = reader.manifest.sparse, reader.manifest.settings.sparse
    if record is None or settings is None:
        raise SystemExit(f"{reader.name} has no sparse index; make one with `attendex index … --sparse ENCODER`")
    terms: dict[str, int] = {}
    vectors: list[SparseVector] = []
    for segment in open_segments(reader.path, record):
        columns: list[NDArray[np.uint32]] = []
        numbers: list[int] = []
        for term in range(segment.num_terms):
            text = segment.terms[segment.lexicon["text"][term] : segment.lexicon["text"][term + 1]].tobytes().decode()
            numbers.append(terms.setdefault(text, len(terms)))
            columns.append(segment.passages_of(term))
        members = np.concatenate(columns)
        term_of = np.repeat(np.array(numbers, np.int32), [len(each) for each in columns])
        weights = segment.arrays["frequencies"].read().astype(np.float32) * np.float32(settings.scale)
        order = np.lexsort((term_of, members))
        bounds = np.searchsorted(members[order], np.arange(len(segment) + 1))
        term_of, weights = term_of[order], weights[order]
        vectors += [SparseVector(term_of[a:b], weights[a:b]) for a, b in pairwise(bounds)]
    return vectors, list(terms)


def mixed(one: SparseVector, other: SparseVector, random: np.random.Generator) -> SparseVector:
    """Return the terms of two passages, each with the odds of one half."""
    kept = [random.random(len(each.terms)) < 0.5 for each in (one, other)]
    terms = np.concatenate([one.terms[kept[0]], other.terms[kept[1]]])
    weights = np.concatenate([one.weights[kept[0]], other.weights[kept[1]]])
    distinct, first = np.unique(terms, return_index=True)
    return SparseVector(distinct, weights[first])


def build(
    folder: Path,
    settings: SparseSettings,
    vectors: Sequence[SparseVector],
    tokens: Sequence[str],
    options: argparse.Namespace,
) -> tuple[SparseReader, PostingsRecord]:
    """Write an index of mixed passages, and open it."""
    count = options.passages
    (folder / LEXICAL).mkdir(parents=True)
    random = np.random.default_rng(options.seed)
    writer = ImpactWriter(folder, settings, None, Files())
    for start in range(0, count, BLOCK):
        keys = np.arange(start, min(start + BLOCK, count), dtype=np.uint64)
        pairs = random.integers(0, len(vectors), (len(keys), 2)).tolist()
        writer.add(keys, [mixed(vectors[a], vectors[b], random) for a, b in pairs], tokens)
    everything = np.arange(count, dtype=np.uint64)
    record = writer.commit(everything, compact=True)
    return open_sparse(folder, record, settings, everything, np.ones(count, np.bool_)), record


def timed(ask: Callable[[TermWeights], Ranking], queries: Sequence[TermWeights]) -> tuple[list[float], list[Ranking]]:
    """Return milliseconds and the answer of each query."""
    taken, found = [], []
    for query in queries:
        started = time.perf_counter()
        found.append(ask(query))
        taken.append((time.perf_counter() - started) * 1000)
    return taken, found


def compare(sparse: SparseReader, queries: Sequence[TermWeights], k: int) -> None:
    """Time both scorers, and print the comparison."""
    rows = sparse.query({}).live_rows

    def pruned(query: TermWeights) -> Ranking:
        return MaxScoreScorer(sparse.query(query).terms, rows).best(k, None)

    def exhaustive(query: TermWeights) -> Ranking:
        return ExhaustiveScorer(sparse.query(query).terms, rows).best(k, None)

    timed(pruned, queries[:3])
    (fast, answers), (slow, expected) = timed(pruned, queries), timed(exhaustive, queries)
    wrong = sum(not np.array_equal(one.rows, other.rows) for one, other in zip(answers, expected, strict=True))
    ours, all_ = statistics.median(fast), statistics.median(slow)
    print(
        f"the best {k}: pruned {ours:.1f} ms, all postings {all_:.1f} ms ({all_ / ours:.2f}×); {wrong} answers differ"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--beir", type=Path, required=True)
    parser.add_argument("--passages", type=int, default=200_000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    topics = read_task(TaskSource(beir=options.beir)).topics[: options.queries]
    with open_index_reader(options.collection) as reader:
        vectors, tokens = read_vectors(reader)
        settings = reader.manifest.settings.sparse
    assert settings is not None
    queries = load_sparse_encoder(settings.encoder.name).weigh_queries([topic.text for topic in topics])
    lengths = [statistics.mean(map(len, queries)), statistics.mean(len(vector.terms) for vector in vectors)]
    print(describe())
    with tempfile.TemporaryDirectory() as folder:
        sparse, record = build(Path(folder), settings, vectors, tokens, options)
        size = sum(file.size_bytes for file in record.files) / options.passages
        print(f"{options.passages:,} passages, {size:.0f} bytes each")
        print(f"terms: {lengths[0]:.0f} a query, {lengths[1]:.0f} a passage")
        compare(sparse, queries, options.k)


if __name__ == "__main__":
    main()
