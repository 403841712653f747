"""Measure the speed of encoding, and the loss of each precision.

    python -m benchmarks.encode [--data ../shared/data] [--documents 600] [--short 3000] [--rounds 3] \
        [--int8 FOLDER] [--json OUT]

The script compares, in one run and in turns, sentence-transformers, ONNX Runtime (if onnx and onnxruntime are
installed) and Attendex in each precision, on SciFact (long texts) and Jeopardy (short ones), and `attendex index` of
the same documents end to end: start, reading, encoding, writing and commit.  Each system is a process of its own, and
the best of its rounds counts.  The script makes the int8 folder from SciFact if none is given.  `--documents 0` takes
all of SciFact and adds nDCG@10.  Ratios are to sentence-transformers float32 in the same run.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe, matrix_peak, processor, versions
from benchmarks.systems import SYSTEMS, available, make
from indexer.evaluation.quantize import draw_texts, quantize_folder
from retrieval.encoder.checkpoint.hub import DEFAULT, locate
from retrieval.encoder.checkpoint.model_folder import open_folder
from retrieval.encoder.checkpoint.tokenizer import TextTokenizer
from retrieval.index.collection.document_store import passage_text
from retrieval.util.cores import cores

BASE = "st-f32"
INDEXING = {"index-auto": "`attendex index`, auto, end to end", "index-int8": "`attendex index`, int8, end to end"}


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one system on one set of texts."""

    system: str
    texts: str
    documents_per_s: float
    tokens_per_s: float
    ratio: float  # to sentence-transformers float32
    peak_share: float  # of the measured bfloat16 peak, counting the multiplications that the texts need
    peak_mb: float
    cosine_mean: float | None
    cosine_min: float | None
    ndcg10: float | None


def read_texts(data: Path, kind: str, count: int) -> list[dict[str, Any]]:
    """Read the first `count` documents of SciFact ("long", 0 for all) or Jeopardy."""
    if kind == "long":
        with (data / "scifact" / "corpus.jsonl").open(encoding="utf-8") as file:
            return [json.loads(line) for line in itertools.islice(file, count or None)]
    with gzip.open(data / "jeopardy" / "corpus.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in itertools.islice(file, count)]


def plain(documents: Sequence[dict[str, Any]]) -> list[str]:
    return [passage_text(document.get("title") or "", "", document["text"]) for document in documents]


def child(name: str, work: Path, model: str, int8: Path | None) -> None:
    """Encode both sets, print seconds and memory, and save the vectors in `work`."""
    sets = json.loads((work / "texts.json").read_text(encoding="utf-8"))
    encode = make(name, model, int8)
    for texts in sets.values():
        encode(texts[:64])  # load and compile first
    seconds = {}
    for kind, texts in sets.items():
        started = time.perf_counter()
        vectors = encode(texts)
        seconds[kind] = time.perf_counter() - started
        np.save(work / f"{name}.{kind}.npy", vectors)
    queries = json.loads((work / "queries.json").read_text(encoding="utf-8"))
    if queries:
        np.save(work / f"{name}.queries.npy", encode(queries))
    print(json.dumps({"seconds": seconds, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def run_child(name: str, work: Path, model: str, int8: Path | None) -> dict[str, Any]:
    """Run one round of one system."""
    if name in INDEXING:
        return {kind: _index(name, work, kind, int8) for kind in ("long", "short")}
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.encode", "--one", name, "--work", str(work)]
    command += ["--model", model, *(["--int8", str(int8)] if int8 else [])]
    answer = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    return {kind: {"seconds": answer["seconds"][kind], "peak_mb": answer["peak_mb"]} for kind in answer["seconds"]}


def _index(name: str, work: Path, kind: str, int8: Path | None) -> dict[str, float]:
    """Run `attendex index` as a user does, the start of the process included."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        command = [sys.executable, "-m", "service", "index", str(work / kind), "--into", f"{folder}/collection"]
        command += ["--encoder", str(int8)] if name == "index-int8" else []
        script = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, capture_output=True); "
        script += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
        started = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", script, *command], capture_output=True, text=True, check=True)
        return {"seconds": time.perf_counter() - started, "peak_mb": float(done.stdout)}


def flop(model: str, lengths: Sequence[int]) -> float:
    """Count the operations of products with weights and of attention."""
    shape = open_folder(locate(model)).architecture
    assert shape is not None, "the encoder runs on our stack"
    inner = shape.inner * (3 if shape.gated else 2)
    weights = len(shape.layers) * shape.width * (4 * shape.width + inner)
    return sum(2 * weights * n + 4 * len(shape.layers) * shape.width * n * n for n in lengths)


def ndcg(work: Path, name: str, data: Path, ids: Sequence[str]) -> float:
    """Compute nDCG@10 of SciFact's test queries with exact search."""
    from retrieval.metrics.evaluation import evaluate
    from retrieval.metrics.runs import RankedDocuments, RetrievalRun
    from retrieval.metrics.tasks import read_beir

    task = read_beir(data / "scifact")
    vectors, queries = np.load(work / f"{name}.long.npy"), np.load(work / f"{name}.queries.npy")
    rankings = {}
    for topic, query in zip(task.topics, queries, strict=True):
        scores = vectors @ query
        best = sorted(range(len(ids)), key=lambda row: (-scores[row], ids[row]))[:100]
        rankings[topic.id] = RankedDocuments(tuple(ids[row] for row in best), scores[best].astype(np.float64))
    return evaluate(RetrievalRun(name, rankings), task.qrels, "nDCG@10").aggregates["nDCG@10"]


def prepare(work: Path, arguments: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Write texts for the children, folders for `attendex index`, and the queries."""
    documents = {
        "long": read_texts(arguments.data, "long", arguments.documents),
        "short": read_texts(arguments.data, "short", arguments.short),
    }
    for kind, some in documents.items():
        (work / kind).mkdir()
        lines = "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in some)
        (work / kind / "corpus.jsonl").write_text(lines, encoding="utf-8")
    (work / "texts.json").write_text(json.dumps({kind: plain(some) for kind, some in documents.items()}))
    queries: list[str] = []
    if arguments.documents == 0:
        from retrieval.metrics.tasks import read_beir

        queries = [topic.text for topic in read_beir(arguments.data / "scifact").topics]
    (work / "queries.json").write_text(json.dumps(queries))
    return documents


def measure(work: Path, arguments: argparse.Namespace) -> list[Row]:
    """Measure all systems, in turns."""
    documents = prepare(work, arguments)
    int8 = arguments.int8
    if int8 is None:
        int8 = work / "int8"
        quantize_folder(arguments.model, draw_texts(arguments.data / "scifact", 300, 0), int8)
    names = [name for name in [*available(int8), *INDEXING] if not arguments.only or name in arguments.only]
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for number, name in itertools.product(range(arguments.rounds), names):
        print(f"round {number + 1} of {arguments.rounds}: {name}", file=sys.stderr)
        rounds[name].append(run_child(name, work, arguments.model, int8))
    peak = matrix_peak()["bf16"] * 1e9
    tokenizer = TextTokenizer(open_folder(locate(arguments.model)))
    rows = []
    for kind, some in documents.items():
        lengths = [len(ids) for ids in tokenizer.ids(plain(some))]
        base = min(each[kind]["seconds"] for each in rounds[BASE]) if BASE in rounds else float("nan")
        for name in names:
            seconds = min(each[kind]["seconds"] for each in rounds[name])
            cosines = _cosines(work, name, kind)
            judged = arguments.documents == 0 and kind == "long" and name in SYSTEMS
            rows.append(
                Row(
                    system=name,
                    texts=kind,
                    documents_per_s=len(some) / seconds,
                    tokens_per_s=sum(lengths) / seconds,
                    ratio=base / seconds,
                    peak_share=flop(arguments.model, lengths) / seconds / peak,
                    peak_mb=max(each[kind]["peak_mb"] for each in rounds[name]),
                    cosine_mean=None if cosines is None else float(cosines.mean()),
                    cosine_min=None if cosines is None else float(cosines.min()),
                    ndcg10=ndcg(work, name, arguments.data, [each["_id"] for each in some]) if judged else None,
                )
            )
    return rows


def _cosines(work: Path, name: str, kind: str) -> Any:
    paths = [work / f"{system}.{kind}.npy" for system in (name, BASE)]
    if not all(path.exists() for path in paths):
        return None
    ours, base = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in map(np.load, paths))
    return (ours * base).sum(1)


def show(rows: Sequence[Row]) -> None:
    """Print the table of docs/speed.md."""
    print("| texts | how | documents/s | × | tokens/s | of bf16 peak | peak MB | cosine mean, worst | nDCG@10 |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | --- | ---: |")
    for row in rows:
        cosine = "" if row.cosine_mean is None else f"{row.cosine_mean:.5f}, {row.cosine_min:.5f}"
        quality = "" if row.ndcg10 is None else f"{row.ndcg10:.4f}"
        print(
            f"| {row.texts} | {(SYSTEMS | INDEXING)[row.system]} | {row.documents_per_s:,.0f} | {row.ratio:.2f} "
            f"| {row.tokens_per_s:,.0f} | {row.peak_share:.0%} | {row.peak_mb:,.0f} | {cosine} | {quality} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--documents", type=int, default=600)
    parser.add_argument("--short", type=int, default=3_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--int8", type=Path)
    parser.add_argument("--only", nargs="*", help="systems to compare; sentence-transformers float32 should be one")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        child(arguments.one, arguments.work, arguments.model, arguments.int8)
        return
    with tempfile.TemporaryDirectory(prefix="attendex-encode-") as work:
        rows = measure(Path(work), arguments)
    peaks = ", ".join(f"{name} {gflops:,.0f}" for name, gflops in matrix_peak().items())
    print(f"{processor()}, {cores()} cores; most GFLOP/s of a matrix product: {peaks}")
    print(", ".join(f"{name} {number}" for name, number in versions().items()), end="\n\n")
    show(rows)
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": describe(), "rows": [asdict(row) for row in rows]}, indent=2))


if __name__ == "__main__":
    main()
