"""Measure a reranker: time of pairs, of searches, and ranking quality.

    python -m benchmarks.rerank MODEL                                     # ms per pair at 64, 128 and 256 tokens
    python -m benchmarks.rerank MODEL --collection papers                 # and p50 of searches that rerank 20 documents
    python -m benchmarks.rerank MODEL --collection papers --callers 8     # and the service under so many callers
    python -m benchmarks.rerank MODEL --collection papers --beir FOLDER   # and nDCG@10 by depth and weight

MODEL is a folder or a preset; a folder that `attendex quantize` wrote runs in int8 and, for comparison, in float
precision.  Texts are words drawn from the tokenizer's vocabulary, one token each.  Of a late-interaction model whose
token vectors the collection stores, the encoding of queries and the scoring of passages are timed apart, too.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from benchmarks.load import Orders, run_load
from benchmarks.machine import describe
from benchmarks.modes import drawn_queries
from benchmarks.service import running
from indexer.evaluation.option_tuning import CachingReranker
from retrieval.encoder.checkpoint.hub import locate_reranker
from retrieval.metrics.evaluation import evaluate
from retrieval.metrics.run_queries import run_queries
from retrieval.metrics.significance import randomization_p
from retrieval.metrics.tasks import EvaluationTask, read_beir
from retrieval.protocols import Reranker
from retrieval.search.late_interaction import LateReranker
from retrieval.search.rerankers import TimedReranker, load_reranker
from retrieval.search.searcher import Searcher, open_searcher
from retrieval.types import RerankOptions, SearchRequest
from service.runtime.reranker_registry import RerankerRegistry

QUERY_TOKENS = 12
ROUNDS = 15
MEASURE = "nDCG@10"
WEIGHTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)


def words(model: Path, count: int, rng: np.random.Generator) -> str:
    """Return words that are tokens of the model."""
    vocabulary = sorted(
        each for each in Tokenizer.from_file(str(model / "tokenizer.json")).get_vocab() if each.isalpha()
    )
    return " ".join(rng.choice(vocabulary, count))


def time_pairs(model: Path, reranker: Reranker, tokens: int, pairs: int) -> tuple[float, float]:
    """Return milliseconds to score pairs: the median, and the least CPU time."""
    rng = np.random.default_rng(tokens)
    query = words(model, QUERY_TOKENS, rng)
    times, cpu_times = [], []
    for _ in range(ROUNDS):
        texts = [words(model, tokens - QUERY_TOKENS - 3, rng) for _ in range(pairs)]
        started, cpu_started = time.perf_counter(), time.process_time()
        reranker.score(query, texts)
        times.append((time.perf_counter() - started) * 1000)
        cpu_times.append((time.process_time() - cpu_started) * 1000)
    return float(np.median(times)), min(cpu_times)


def show_pairs(model: Path, reranker: Reranker, precision: str) -> None:
    for tokens in (64, 128, 256):
        total, cpu = time_pairs(model, reranker, tokens, 20)
        print(f"| {precision} | {tokens} | {total / 20:.2f} | {total:.0f} | {cpu:.0f} |", flush=True)


def show_searches(searcher: Searcher, queries: Sequence[str]) -> None:
    """Print p50 and p99 of searches without and with reranking."""
    for depth in (0, 20, 50):
        options = RerankOptions("model", depth) if depth else None
        times = [searcher.search(SearchRequest(query, rerank=options)).timings_ms.total for query in queries]
        p50, p99 = np.percentile(times, [50, 99])
        print(f"| search, depth {depth} | {p50:.1f} | {p99:.1f} |")


def show_stored(searcher: Searcher, reranker: LateReranker, queries: Sequence[str]) -> None:
    """Print p50 and p99 of encoding a query, and of scoring stored passages."""
    reader, rng = searcher.reader, np.random.default_rng(0)
    times: dict[str, list[float]] = {}

    def note(name: str, started: float) -> None:
        times.setdefault(name, []).append((time.perf_counter() - started) * 1000)

    for query in queries:
        started = time.perf_counter()
        vectors = reranker.encoder.encode_query(query)
        note("encode a query", started)
        for depth in (20, 50):
            rows = rng.choice(np.flatnonzero(reader.live), min(depth, reader.rows), replace=False)
            started = time.perf_counter()
            reranker.score_vectors(vectors, reader, rows)
            note(f"score {depth} stored passages", started)
    counts = [int(each.counts[0]) for each in reader.token_codes(np.flatnonzero(reader.live))]
    print(f"{np.mean(counts):.0f} token vectors a passage")
    for name, each in times.items():
        print(f"| {name} | {np.percentile(each, 50):.1f} | {np.percentile(each, 99):.1f} |")


def show_service(model: Path, collection: Path, queries: Sequence[str], callers: int, seconds: float) -> None:
    """Print the latencies of a service whose callers all rerank."""
    with running(collection, ["--reranker", f"model={model}"]) as service:
        bodies = [json.dumps({"query": query, "rerank": {}}) for query in queries]
        path = f"/v1/collections/{collection.name}/search"
        seen = run_load(Orders(service.url, path, bodies, callers, seconds))
        p50, p99 = np.percentile(seen.latencies_ms, [50, 99])
        rate = len(seen.latencies_ms) / seen.seconds
        print(f"| service, {callers} callers, depth 20 | {p50:.0f} | {p99:.0f} | {rate:.1f}/s, {seen.statuses} |")


def per_query(searcher: Searcher, task: EvaluationTask, rerank: RerankOptions | None) -> NDArray[np.float64]:
    run = run_queries(searcher.search_many, task.topics, SearchRequest("", rerank=rerank, passages_per_document=1)).run
    asked = {topic.id for topic in task.topics}
    return evaluate(run, task.qrels, MEASURE, asked=asked).values[MEASURE].per_query


def show_quality(searcher: Searcher, task: EvaluationTask, depths: Sequence[int]) -> None:
    """Print the first stage, and the mixtures with the p of the paired test."""
    first = per_query(searcher, task, None)
    print(f"| first stage | | {first.mean():.4f} | |")
    for depth in depths:
        for weight in WEIGHTS:
            found = per_query(searcher, task, RerankOptions("model", depth, weight))
            p = randomization_p((found - first)[:, np.newaxis], seed=0)[0]
            print(f"| depth {depth} | {weight} | {found.mean():.4f} | {p:.3f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--precision", default="auto", help="f32, bf16 or int8")
    parser.add_argument("--collection", type=Path)
    parser.add_argument("--queries", type=int, default=60)
    parser.add_argument("--callers", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--beir", type=Path)
    parser.add_argument("--limit", type=int, default=0, help="judged queries to draw; 0: all")
    parser.add_argument("--depths", type=int, nargs="+", default=[10, 20])
    options = parser.parse_args()
    print(json.dumps(describe()))
    reranker = load_reranker(options.model, precision=options.precision)
    folder = locate_reranker(options.model)
    print("| precision | tokens of a pair | ms per pair | ms for 20 pairs | CPU ms for 20 |")
    print("| --- | ---: | ---: | ---: | ---: |")
    show_pairs(folder, reranker, options.precision)
    if options.collection is None:
        return
    late = reranker if isinstance(reranker, LateReranker) else None
    rerankers = RerankerRegistry({"model": TimedReranker("model", late or CachingReranker(reranker))})
    with open_searcher(options.collection, rerankers=rerankers) as searcher:
        queries = drawn_queries(searcher, options.queries, QUERY_TOKENS)
        if options.beir is None:
            show_searches(searcher, queries)
            if late and late.is_stored(searcher.reader):
                show_stored(searcher, late, queries)
        else:
            task = read_beir(options.beir, "test")
            chosen = np.random.default_rng(0).permutation(len(task.topics))[: options.limit or None]
            show_quality(searcher, replace(task, topics=tuple(task.topics[i] for i in chosen)), options.depths)
    if options.callers:
        show_service(folder, options.collection, queries, options.callers, options.seconds)


if __name__ == "__main__":
    main()
