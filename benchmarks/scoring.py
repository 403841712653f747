"""Measure the time of scoring, beside pytrec_eval (trec_eval) in the same run.

The default is 1,000 queries × 1,000 hits with 6 measures.

python -m benchmarks.scoring [--queries 1000] [--hits 1000] [--repeat 5]
"""

from __future__ import annotations

import argparse
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable

import pytrec_eval

from retrieval.metrics.comparison import compare_runs
from retrieval.metrics.evaluation import evaluate
from retrieval.metrics.runs import Qrels, RetrievalRun, make_run

MEASURES = "nDCG@10 R@100 RR@10 AP P@10 Judged@10"
TREC = {"ndcg_cut.10", "recall.100", "recip_rank", "map", "P.10"}  # what trec_eval has of these
LIMIT_S = 2.0


def made(queries: int, hits: int, seed: int) -> tuple[Qrels, dict[str, dict[str, float]]]:
    """Return judgments and a run over five times as many documents as hits."""
    rng = random.Random(seed)
    documents = [f"document-{i}" for i in range(5 * hits)]
    judgments = {f"q{i}": {each: rng.randrange(3) for each in rng.sample(documents, 40)} for i in range(queries)}
    run = {query: {each: rng.random() for each in rng.sample(documents, hits)} for query in judgments}
    return Qrels("made", judgments), run


def seconds(work: Callable[[], object], repeat: int) -> float:
    """Return the median of several timings."""
    taken = []
    for _ in range(repeat):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def main() -> int:
    """Print the table; exit 1 when scoring takes longer than it may."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--hits", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    qrels, table = made(options.queries, options.hits, 1)
    run = make_run("a", table)
    other = RetrievalRun("b", {query: ranking for query, ranking in run.rankings.items() if int(query[1:]) % 7})
    ours = seconds(lambda: evaluate(run, qrels, MEASURES), options.repeat)
    theirs = seconds(lambda: pytrec_eval.RelevanceEvaluator(qrels.judgments, TREC).evaluate(table), options.repeat)
    both = seconds(lambda: compare_runs([run, other], qrels, MEASURES), options.repeat)
    print(f"machine: {platform.processor() or platform.machine()}, Python {platform.python_version()}")
    print(f"command: python -m benchmarks.scoring {' '.join(sys.argv[1:])}")
    print(f"run: {options.queries} queries × {options.hits} hits; medians of {options.repeat}")
    print(f"evaluate, 6 measures               {ours:6.2f} s   (limit {LIMIT_S} s)")
    print(f"pytrec_eval, the 5 that it has     {theirs:6.2f} s   ratio {ours / theirs:.2f}")
    print(f"compare: two runs, tests and all   {both:6.2f} s")
    return int(ours > LIMIT_S)


if __name__ == "__main__":
    raise SystemExit(main())
