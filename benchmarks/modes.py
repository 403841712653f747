"""Measure the time of a search in each mode, without encoding, in a collection.

    python -m benchmarks.modes COLLECTION [--queries 300] [--words 12]

Queries are the first words of documents drawn from the collection; they are encoded before the clock runs.  Prints
p50, p95 and p99 of the ten best documents in each mode, exact and through the collection's structure, and the time and
memory of opening.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil

from retrieval.encoder.loading import load_encoder
from retrieval.index.storage.manifest import read_manifest
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.types import Mode, SearchRequest
from service.runtime.encoder_registry import CachingEncoder


def drawn_queries(searcher: Searcher, count: int, words: int) -> list[str]:
    """Return the first words of some documents."""
    rng = np.random.default_rng(0)
    live = np.flatnonzero(searcher.reader.live_documents)
    rows = rng.choice(live, min(3 * count, len(live)), replace=False)
    texts = (" ".join(each.text.split()[:words]) for each in searcher.reader.documents(rows))
    return list(dict.fromkeys(text for text in texts if text))[:count]


def measure(searcher: Searcher, request: SearchRequest, queries: list[str]) -> list[float]:
    """Return the milliseconds that each query takes the second time."""
    times = []
    for query in queries:
        searcher.search(replace(request, query=query))
        started = time.perf_counter()
        searcher.search(replace(request, query=query))
        times.append((time.perf_counter() - started) * 1000)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--words", type=int, default=12)
    options = parser.parse_args()
    encoder = CachingEncoder(load_encoder(read_manifest(options.collection).encoder.name), 10_000)
    encoder.warm_up()
    encoder.encode_queries(["warm"])
    process = psutil.Process()
    before, started = process.memory_info().rss, time.perf_counter()
    searcher = open_searcher(options.collection, encoder=encoder)
    opened = process.memory_info().rss
    searcher.search(SearchRequest("warm"))
    seconds = time.perf_counter() - started
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; {' '.join(sys.argv)}")
    print(f"{searcher.reader.manifest.passages:,} passages; first answer after {seconds:.2f} s, before it ", end="")
    print(f"{(opened - before) / 1e6:.0f} MB more resident than without the collection")
    queries = drawn_queries(searcher, options.queries, options.words)
    encoder.encode_queries(queries)
    print("\n| mode | p50 ms | p95 ms | p99 ms |\n| --- | ---: | ---: | ---: |")
    for mode, exact in ((Mode.DENSE, False), (Mode.DENSE, True), (Mode.LEXICAL, False), (Mode.HYBRID, False)):
        times = measure(searcher, SearchRequest("", mode=mode, exact=exact), queries)
        p50, p95, p99 = np.percentile(times, [50, 95, 99])
        print(f"| {mode}{', exact' * exact} | {p50:.2f} | {p95:.2f} | {p99:.2f} |")


if __name__ == "__main__":
    main()
