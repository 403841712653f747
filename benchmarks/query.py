"""Measure the latency of encoding a query, and the throughput of sixteen callers.

    python -m benchmarks.query [--data ../shared/data] [--queries 200] [--rounds 3] [--callers 16] [--int8 FOLDER] \
        [--json OUT]

Compares sentence-transformers and Attendex in each precision on SciFact's queries (about 20 tokens), a process each, in
turns.  Callers use the service's batcher, as requests do.  Ratios are to sentence-transformers float32.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe, processor, versions
from benchmarks.systems import SYSTEMS, Encode, make
from retrieval.encoder.checkpoint.hub import DEFAULT
from retrieval.util.cores import cores
from service.queues.dynamic_batching import Batcher, BatchLimits, LoadShedding

BASE = "st-f32"
COMPARED = (BASE, "st-bf16", "torch-f32", "ov-f32", "ov-bf16", "ov-int8")


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one system: a single caller, and many at once."""

    system: str
    p50_ms: float
    p99_ms: float
    ratio_p50: float  # to sentence-transformers float32; lower is faster
    alone_per_s: float
    together_per_s: float | None  # through the service's batcher; None for systems that do not run in the service
    gain: float | None  # together to alone


def child(name: str, model: str, int8: Path | None, queries: Sequence[str], callers: int) -> None:
    """Print the milliseconds of each query alone, and the throughput of many callers."""
    encode = make(name, model, int8)
    for query in queries[:20]:
        encode([query])
    alone = [_milliseconds(encode, query) for query in queries]
    together = None if name.startswith("st-") else asyncio.run(_together(encode, queries, callers))
    print(json.dumps({"alone_ms": alone, "together_per_s": together}))


def _milliseconds(encode: Encode, query: str) -> float:
    started = time.perf_counter()
    encode([query])
    return (time.perf_counter() - started) * 1000


async def _together(encode: Encode, queries: Sequence[str], callers: int) -> float:
    """Measure queries a second; each caller sends its next query on its answer."""
    limits = BatchLimits(items=callers, cost=2_048, workers=max(1, cores() // 2))
    batcher: Batcher[str, Any] = Batcher(
        lambda texts: list(encode(texts)), limits, LoadShedding(4 * callers), name="queries"
    )
    texts = iter([*queries] * 4)

    async def caller() -> None:
        for text in texts:  # the callers share one iterator
            await batcher.submit(text)

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    seconds = time.perf_counter() - started
    batcher.close()
    return 4 * len(queries) / seconds


def summarise(rounds: dict[str, list[dict[str, Any]]]) -> list[Row]:
    """Return the best round of each system, by its median."""
    best = {name: min(figures, key=lambda figure: np.median(figure["alone_ms"])) for name, figures in rounds.items()}
    base = float(np.median(best[BASE]["alone_ms"])) if BASE in best else float("nan")
    rows = []
    for name, figures in best.items():
        alone = np.array(figures["alone_ms"])
        p50 = float(np.median(alone))
        together = max((figure["together_per_s"] or 0 for figure in rounds[name]), default=0) or None
        rows.append(
            Row(
                system=name,
                p50_ms=p50,
                p99_ms=float(np.quantile(alone, 0.99)),
                ratio_p50=p50 / base,
                alone_per_s=1000 / float(alone.mean()),
                together_per_s=together,
                gain=together and together * float(alone.mean()) / 1000,
            )
        )
    return rows


def show(rows: Sequence[Row], callers: int) -> None:
    """Print the table of docs/speed.md."""
    print(f"| how | p50 ms | p99 ms | × of p50 | alone, queries/s | {callers} callers, queries/s | gain |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for row in rows:
        together = "" if row.together_per_s is None else f"{row.together_per_s:,.0f}"
        gain = "" if row.gain is None else f"{row.gain:.1f}"
        print(
            f"| {SYSTEMS[row.system]} | {row.p50_ms:.2f} | {row.p99_ms:.2f} | {row.ratio_p50:.3f} "
            f"| {row.alone_per_s:,.0f} | {together} | {gain} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--callers", type=int, default=16)
    parser.add_argument("--int8", type=Path, help="folder that `attendex quantize` wrote")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    with (arguments.data / "scifact" / "queries.jsonl").open(encoding="utf-8") as file:
        queries = [json.loads(line)["text"] for line in itertools.islice(file, arguments.queries)]
    if arguments.one:
        child(arguments.one, arguments.model, arguments.int8, queries, arguments.callers)
        return
    names = [name for name in COMPARED if name != "ov-int8" or arguments.int8]
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for number, name in itertools.product(range(arguments.rounds), names):
        print(f"round {number + 1} of {arguments.rounds}: {name}", file=sys.stderr)
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.query", *sys.argv[1:], "--one", name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rounds[name].append(json.loads(done.stdout.splitlines()[-1]))
    rows = summarise(rounds)
    print(f"{processor()}, {cores()} cores")
    print(", ".join(f"{name} {number}" for name, number in versions().items()), end="\n\n")
    show(rows, arguments.callers)
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": describe(), "rows": [asdict(row) for row in rows]}, indent=2))


if __name__ == "__main__":
    main()
