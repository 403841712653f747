"""Measure what shards cost a search, compared with one collection.

Both hold the same passages, of synthetic words and random vectors, and all searches compare every vector.  Random
vectors are the worst case of hybrid mode, which ranks deeper while an unseen passage may still be among the best.

    python -m benchmarks.scale --passages 100000 --shards 4

With `--replicas`, the shards are also searched on a Ray cluster of this machine.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from indexer.building.collection_lifecycle import new_settings
from indexer.cluster.connection import connected
from indexer.writing.sharded_writer import open_writer
from retrieval.encoder.checkpoint.hub import DEFAULT
from retrieval.encoder.loading import load_encoder
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.index.storage.settings import ChunkSettings, LexicalSettings, VectorSettings
from retrieval.search.request import checked
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.types import Document, Mode, Passage, SearchRequest
from service.cluster.shard_replicas import ClusterShards

BLOCK = 4_096
WORDS = 20_000  # of the synthetic language
WORDS_OF_A_PASSAGE = 60


def build(path: Path, encoder: SentenceEncoder, passages: int, shards: int) -> None:
    """Index synthetic passages; equal arguments give equal passages."""
    dice = np.random.default_rng(7)
    vectors = VectorSettings(memory="exact")
    create = new_settings(encoder, chunking=ChunkSettings(), lexical=LexicalSettings(), vectors=vectors)
    with open_writer(path, create=create, shards=shards) as writer:
        for start in range(0, passages, BLOCK):
            count = min(BLOCK, passages - start)
            ranks = np.minimum(dice.zipf(1.3, (count, WORDS_OF_A_PASSAGE)), WORDS)
            texts = [" ".join(f"w{rank}" for rank in row) for row in ranks.tolist()]
            made = [Document(f"d{start + n}", text) for n, text in enumerate(texts)]
            block = dice.standard_normal((count, encoder.dimension)).astype(np.float32)
            block /= np.linalg.norm(block, axis=1, keepdims=True)
            writer.add(made, [[Passage(0, len(text))] for text in texts], block)
        writer.commit(encoder)


def measure(searchers: list[Searcher], mode: Mode, rounds: int) -> list[tuple[float, float]]:
    """Return milliseconds of each searcher, p50 and p99, after the query is encoded."""
    dice = np.random.default_rng(11)
    times: list[list[float]] = [[] for _ in searchers]
    for _ in range(rounds):
        query = " ".join(f"w{rank}" for rank in dice.integers(20, 2_000, 4).tolist())
        request = checked(SearchRequest(query, mode=mode, exact=True, typos=False))
        answers = []
        for number, searcher in enumerate(searchers):
            [encoded] = searcher.encoded([request])
            started = time.perf_counter()
            result = searcher.answer(encoded)
            times[number].append((time.perf_counter() - started) * 1000)
            answers.append([(hit.id, hit.score) for hit in result.hits])
        assert all(answer == answers[0] for answer in answers), f"the answers to {query!r} differ"
    return [(float(np.median(each)), float(np.percentile(each, 99))) for each in times]


@contextmanager
def on_cluster(path: Path, encoder: SentenceEncoder, replicas: int) -> Iterator[Searcher]:
    """Open a sharded collection whose shards rank on a cluster of this machine."""
    with connected("") as ray:
        shards = ClusterShards(ray, replicas, waiting=64, answer_s=60.0)
        with open_searcher(path, encoder=encoder, join=shards.join) as searcher:
            yield searcher


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--replicas", type=int, default=0, help="processes for each shard on a Ray cluster; 0: none")
    options = parser.parse_args()
    encoder = load_encoder(DEFAULT)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        searchers = {}
        for shards, name in ((0, "one collection"), (options.shards, f"{options.shards} shards")):
            path = Path(folder) / f"c{shards}"
            build(path, encoder, options.passages, shards)
            searchers[name] = stack.enter_context(open_searcher(path, encoder=encoder))
        if options.replicas:
            searchers["on Ray"] = stack.enter_context(on_cluster(path, encoder, options.replicas))
        print(f"{options.passages:,} passages, milliseconds of a search without encoding, p50 and p99")
        for mode in (Mode.DENSE, Mode.LEXICAL, Mode.HYBRID):
            measure([*searchers.values()], mode, 5)
            times = zip(searchers, measure([*searchers.values()], mode, options.rounds), strict=True)
            print(f"{mode}: " + ", ".join(f"{name} {median:.2f} {slow:.2f}" for name, (median, slow) in times))


if __name__ == "__main__":
    main()
