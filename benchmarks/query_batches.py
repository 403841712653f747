"""Measure the cost of a query in batches, for low latency and for little CPU time.

    python -m benchmarks.query_batches [--data ../shared/data] [--batches 20] [--rounds 3]

For each batch size the script prints the median latency and the processor milliseconds a text, with and without
`save_cpu`, measured in turns.  The service runs a second batch beside another one only if it is large enough to be
worth a core (MIN_BATCH in service/queues/search_queue.py and service/queues/embedding_queue.py); this table sets that
size.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.machine import matrix_peak, processor
from retrieval.encoder.loading import load_encoder
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.util.cores import cores

SIZES = (1, 2, 3, 4, 6, 8, 12, 16)


def measure_call(encoder: SentenceEncoder, texts: Sequence[str], *, save_cpu: bool) -> tuple[float, float]:
    """Return the milliseconds of a call and the processor milliseconds a text."""
    started, used = time.perf_counter(), time.process_time()
    encoder.encode_queries(texts, save_cpu=save_cpu)
    return (time.perf_counter() - started) * 1000, (time.process_time() - used) * 1000 / len(texts)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    lines = (arguments.data / "scifact" / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    queries = [json.loads(line)["text"] for line in lines]
    encoder = load_encoder()
    encoder.warm_up()
    print(f"{processor()}, {cores()} cores")
    print("command:", " ".join(["python -m benchmarks.query_batches", *sys.argv[1:]]))
    print("\n| texts | latency ms | save_cpu ms | latency, CPU ms a text | save_cpu, CPU ms a text |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    rng = random.Random(0)
    for size in SIZES:
        batches = [rng.sample(queries, size) for _ in range(arguments.batches)]
        for batch in batches:  # compile every shape first
            for save_cpu in (False, True):
                measure_call(encoder, batch, save_cpu=save_cpu)
        found = np.array(
            [
                [measure_call(encoder, batch, save_cpu=save_cpu) for save_cpu in (False, True)]
                for _ in range(arguments.rounds)
                for batch in batches
            ]
        )
        (latency_ms, latency_cpu), (saving_ms, saving_cpu) = np.median(found, axis=0)
        print(f"| {size} | {latency_ms:.1f} | {saving_ms:.1f} | {latency_cpu:.2f} | {saving_cpu:.2f} |", flush=True)
    peak = matrix_peak()
    print(f"\nlarge matrix products: {peak['f32']:.0f} GFLOP/s in float32, {peak['bf16']:.0f} in bfloat16")


if __name__ == "__main__":
    main()
