"""Recall, latency, throughput, memory and build time beside plain FAISS.

    python -m benchmarks.vectors VECTORS.npy --plot docs/vectors.svg    # real vectors, (n, d) float16, kept elsewhere
    python -m benchmarks.vectors --synthetic 2000000                    # clustered vectors, made on the spot

Every index is built, opened and searched in a process of its own, one after the other, so that memory and times do not
mix.  The queries are a thousand evenly spaced rows, held out of the collection, and queries made from them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from benchmarks.vector_data import Held, hold_out, synthetic_vectors
from retrieval.index.storage.settings import VectorSettings
from retrieval.index.vectors.build import build_faiss_index, open_faiss_index
from retrieval.index.vectors.equal_vectors import EqualVectors
from retrieval.index.vectors.exact import FlatVectors, rescored
from retrieval.index.vectors.faiss_index import Effort, FaissIndex, RowOrder
from retrieval.index.vectors.index_choice import choose_ann_index, list_count
from retrieval.index.vectors.vector_search import SegmentVectors, TunedIndex
from retrieval.types import Bitmap, Ranking, Vectors

K = 10
BLOCK_ROWS = 1 << 15  # added to a peer at once
SHARES = (0.5, 0.1, 0.01, 0.001)
CURVE = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)  # times the tuned effort
Search = Callable[[Vectors], list[Ranking]]

OURS: dict[str, dict[str, Any]] = {
    "exact": {"memory": "exact"},
    "default": {},
    "small": {"memory": "small"},
    "small, 0.95": {"memory": "small", "recall": 0.95},
    "binary codes": {"structure": "IVF{lists},RaBitQ", "recall": 0.95},
    "half the dimensions": {"memory": "exact"},
}
PEERS = {"IndexHNSWFlat(d, 32)": "HNSW32", "IndexIVFFlat": "IVF{lists},Flat"}
PEER_EFFORTS = {"IndexHNSWFlat(d, 32)": (32, 64, 128, 256), "IndexIVFFlat": (8, 16, 32, 64, 128)}


@dataclass(frozen=True, slots=True)
class Point:
    """The measurements of one way to search.

    Recall@10 of held-out rows and of made queries, milliseconds, and queries per second.
    """

    name: str
    recall: float
    recall_made: float
    p50_ms: float
    p95_ms: float
    qps_one: float
    qps_two: float


@dataclass(slots=True)
class Report:
    """The measurements of one index."""

    name: str
    factory: str = "exact"
    bytes_per_vector: float = 0.0
    build_seconds: float = 0.0
    peak_mib: float = 0.0  # above the process without vectors
    open_seconds: float = 0.0  # to the first result
    open_mib: float = 0.0  # resident after opening, above the process without vectors
    points: list[Point] = field(default_factory=list)
    curve: list[Point] = field(default_factory=list)
    filters: list[Point] = field(default_factory=list)
    effort: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vectors", nargs="?", type=Path, help=".npy file of unit vectors")
    parser.add_argument("--synthetic", type=int, metavar="ROWS", help="make clustered vectors instead")
    parser.add_argument("--dimension", type=int, default=384, help="of synthetic vectors")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="indexes, by the names in the table")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="for building")
    parser.add_argument("--plot", type=Path, help="draw recall against latency into this file")
    parser.add_argument("--json", type=Path, help="write all numbers into this file")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(asdict(_measure(options.one, options.work, options.threads))))
        return
    if (options.vectors is None) == (options.synthetic is None):
        parser.error("give a file of vectors, or --synthetic ROWS")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        held = hold_out(_source(options, work), work)
        names = options.only or [*PEERS, *OURS]
        reports = [_in_a_process(name, work, options.threads) for name in names]
    _print(reports, held)
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in reports], indent=1) + "\n")
    if options.plot:
        from benchmarks.vector_plot import plot

        plot([asdict(each) for each in reports], held.rows, options.plot)


def _source(options: argparse.Namespace, work: Path) -> Path:
    if options.vectors:
        return Path(options.vectors)
    path = work / "synthetic.npy"
    synthetic_vectors(path, options.synthetic, options.dimension)
    return path


def _in_a_process(name: str, work: Path, threads: int) -> Report:
    print(f"{name} …", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "benchmarks.vectors", "--one", name, "--work", str(work)]
    run = subprocess.run([*command, "--threads", str(threads)], check=True, capture_output=True, text=True)
    body = json.loads(run.stdout.splitlines()[-1])
    for key in ("points", "curve", "filters"):
        body[key] = [Point(**each) for each in body[key]]
    return Report(**body)


def _measure(name: str, work: Path, threads: int) -> Report:
    faiss.omp_set_num_threads(threads)
    return _measure_peer(name, Held.load(work)) if name in PEERS else _measure_ours(name, Held.load(work), work)


def _measure_peer(name: str, held: Held) -> Report:
    """Measure plain FAISS over float32, with the parameters of a manual setup."""
    before, started = _reset_peak_mib(), time.perf_counter()
    rows, dimension = held.vectors.shape
    lists = 1 << round(np.log2(3 * np.sqrt(rows)))
    factory = PEERS[name].format(lists=lists)
    index = faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT)
    if not index.is_trained:
        index.train(np.ascontiguousarray(held.vectors[:: max(1, rows // (50 * lists))], dtype=np.float32))
    for start in range(0, rows, BLOCK_ROWS):
        index.add(np.ascontiguousarray(held.vectors[start : start + BLOCK_ROWS], dtype=np.float32))
    report = Report(name, factory, build_seconds=time.perf_counter() - started, peak_mib=_peak_mib() - before)
    report.bytes_per_vector = faiss.serialize_index(index).nbytes / rows
    ann_index = FaissIndex(index, RowOrder(EqualVectors(rows), 0))
    for effort in PEER_EFFORTS[name]:

        def search(queries: Vectors, effort: int = effort) -> list[Ranking]:
            found = ann_index.candidates(queries, Effort(effort, K))
            return [Ranking(each, np.zeros(len(each), np.float32)) for each in found]

        report.curve.append(_point(f"effort {effort}", held, search))
    report.points = [next((each for each in report.curve if each.recall >= 0.98), report.curve[-1])]
    report.effort = report.points[0].name
    return report


def _measure_ours(name: str, held: Held, work: Path) -> Report:
    if name == "half the dimensions":
        return _measure_truncated(name, held)
    before, started = _reset_peak_mib(), time.perf_counter()
    rows, dimension = held.vectors.shape
    settings = VectorSettings(**_formatted(OURS[name], rows))
    plan = choose_ann_index(rows, dimension, settings)
    if plan is None:
        report = Report(name, build_seconds=0.0)
        report.points = [
            _point(name, held, lambda queries: SegmentVectors(FlatVectors(held.vectors)).search(queries, K))
        ]
        _add_filters(report, held, SegmentVectors(FlatVectors(held.vectors)))
        return report
    path = work / f"{name}.faiss"
    facts = build_faiss_index(held.vectors, EqualVectors(rows), plan, settings.recall, path)
    report = Report(name, plan.factory, facts.bytes_per_vector, time.perf_counter() - started, _peak_mib() - before)
    report.open_seconds, report.open_mib = _opening(path, facts.to_json(), work)
    ann_index = open_faiss_index(path, facts)
    segment = SegmentVectors(FlatVectors(held.vectors), TunedIndex(ann_index, facts.tuning))
    effort = facts.tuning.effort(K)
    report.effort = f"explores {effort.explored}, rescores {effort.rescored}"
    report.points = [_point(name, held, lambda queries: segment.search(queries, K))]
    for factor in CURVE:
        tried = Effort(max(1, int(effort.explored * factor)), effort.rescored)
        report.curve.append(_point(f"× {factor}", held, partial(_search_with, segment, tried)))
    _add_filters(report, held, segment)
    path.unlink()
    return report


def _formatted(settings: dict[str, Any], rows: int) -> dict[str, Any]:
    lists = list_count(rows)
    return {key: each.format(lists=lists) if key == "structure" else each for key, each in settings.items()}


def _search_with(segment: SegmentVectors, effort: Effort, queries: Vectors) -> list[Ranking]:
    assert segment.ann_index is not None
    found = segment.ann_index.index.candidates(queries, effort)
    return [rescored(segment.flat.vectors, query, rows, K) for query, rows in zip(queries, found, strict=True)]


def _measure_truncated(name: str, held: Held) -> Report:
    """Measure exact search in the first half of the dimensions."""
    half = held.vectors.shape[1] // 2

    def shortened(vectors: Any) -> Vectors:
        cut = np.asarray(vectors[:, :half], dtype=np.float32)
        return np.asarray(cut / np.linalg.norm(cut, axis=1, keepdims=True), dtype=np.float32)

    segment = SegmentVectors(FlatVectors(shortened(held.vectors).astype(np.float16)))
    report = Report(name, f"exact, {half} dimensions")
    report.points = [_point(name, held, lambda queries: segment.search(shortened(queries), K))]
    return report


def _add_filters(report: Report, held: Held, segment: SegmentVectors) -> None:
    rng = np.random.default_rng(3)
    for share in SHARES:
        allowed = rng.random(len(held.vectors)) < share
        search = partial(segment.search, k=K, allowed=allowed)
        report.filters.append(_point(f"{share:.1%}", held, search, allowed))


def _point(name: str, held: Held, search: Search, allowed: Bitmap | None = None) -> Point:
    recall, recall_made = (held.recall(search, kind, allowed) for kind in ("passages", "made"))
    queries = held.queries("passages")
    faiss.omp_set_num_threads(1)
    times = []
    for number in range(min(300, len(queries))):
        started = time.perf_counter()
        search(queries[number : number + 1])
        times.append((time.perf_counter() - started) * 1e3)
    rates = []
    for threads in (1, 2):
        faiss.omp_set_num_threads(threads)
        started = time.perf_counter()
        search(queries[:300])
        rates.append(min(300, len(queries)) / (time.perf_counter() - started))
    p50, p95 = np.percentile(times, [50, 95])
    return Point(name, recall, recall_made, float(p50), float(p95), *rates)


def _opening(path: Path, facts: dict[str, Any], work: Path) -> tuple[float, float]:
    """Measure opening in a fresh process.

    Return the seconds from opening to the first result, and the resident MiB before it.
    """
    code = (
        "import json, sys, time, numpy as np\n"
        "from pathlib import Path\n"
        "from benchmarks.vectors import resident_mib\n"
        "from retrieval.index.vectors.store import open_vectors\n"
        "from retrieval.index.vectors.build import AnnIndexFacts, open_faiss_index\n"
        "from retrieval.index.vectors.exact import FlatVectors\n"
        "from retrieval.index.vectors.vector_search import SegmentVectors, TunedIndex\n"
        "before, started = resident_mib(), time.perf_counter()\n"
        "facts = AnnIndexFacts.from_json(json.loads(sys.stdin.read()))\n"
        "vectors = open_vectors(Path(sys.argv[2]))\n"
        "index = TunedIndex(open_faiss_index(Path(sys.argv[1]), facts), facts.tuning)\n"
        "segment = SegmentVectors(FlatVectors(vectors), index)\n"
        "resident = resident_mib() - before\n"
        "segment.search(np.asarray(vectors[:1], dtype=np.float32), 10)\n"
        "print(time.perf_counter() - started, resident)\n"
    )
    command = [sys.executable, "-c", code, str(path), str(work / "vectors.npy")]
    run = subprocess.run(command, check=True, capture_output=True, text=True, input=json.dumps(facts))
    seconds, resident = map(float, run.stdout.split())
    return seconds, resident


def resident_mib() -> float:
    """Return the resident memory of this process, with mapped pages."""
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * resource.getpagesize() / 2**20


def _reset_peak_mib() -> float:
    """Reset the peak memory; return the resident memory."""
    Path("/proc/self/clear_refs").write_text("5")
    return _peak_mib()


def _peak_mib() -> float:
    """Return the peak of resident memory since the reset, with mapped pages."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def _print(reports: Sequence[Report], held: Held) -> None:
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, FAISS {faiss.__version__}")
    print(f"{held.rows} vectors of {held.vectors.shape[1]} dimensions; command: {' '.join(sys.argv)}\n")
    print(
        "| index | FAISS | effort | recall@10 held out | made | p50 ms | p95 ms | q/s 1 thread | 2 threads "
        "| bytes per vector | build s | peak MiB | open s | open MiB |"
    )
    print("| --- " * 14 + "|")
    for each in reports:
        at = each.points[0]
        print(
            f"| {each.name} | {each.factory} | {each.effort} | {at.recall:.3f} | {at.recall_made:.3f} "
            f"| {at.p50_ms:.2f} | {at.p95_ms:.2f} | {at.qps_one:.0f} | {at.qps_two:.0f} | {each.bytes_per_vector:.0f} "
            f"| {each.build_seconds:.1f} | {each.peak_mib:.0f} | {each.open_seconds:.2f} | {each.open_mib:.0f} |"
        )
    print("\n| index | filter allows | recall@10 held out | made | p50 ms | p95 ms |\n" + "| --- " * 6 + "|")
    for each in reports:
        for at in each.filters:
            print(
                f"| {each.name} | {at.name} | {at.recall:.3f} | {at.recall_made:.3f} "
                f"| {at.p50_ms:.2f} | {at.p95_ms:.2f} |"
            )
    ratios = {each.name: each.build_seconds for each in reports}
    if "default" in ratios and "IndexHNSWFlat(d, 32)" in ratios:
        print(f"\nbuild, default / IndexHNSWFlat: {ratios['default'] / ratios['IndexHNSWFlat(d, 32)']:.2f}")


if __name__ == "__main__":
    main()
