"""Measure `attendex adapt` on queries that it never saw.

    python -m benchmarks.adapt collections/scifact --beir data/scifact --out encoders/scifact
    python -m benchmarks.adapt collections/scifact --beir data/scifact --out encoders/scifact --documents-only
    python -m benchmarks.adapt collections/stard --beir data/stard-pool --out encoders/stard --half
    python -m benchmarks.adapt collections/cranfield --beir data/cranfield --encoder encoders/scifact

The first line adapts with the train split and measures the test split: base against adapted encoder, dense and in the
default mode, with a paired test.  `--half` adapts with half of the queries and measures the other half.  The last line
measures an encoder that exists, as for forgetting.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import time
from pathlib import Path

from indexer.adapting.adapt import Adaptation, AdaptSettings, Watch
from indexer.adapting.guard import judge
from indexer.maintenance.linked_copy import linked_copy
from retrieval.encoder.loading import load_encoder
from retrieval.index.storage.manifest import read_manifest
from retrieval.metrics.comparison import PairedComparison, format_interval, format_p
from retrieval.metrics.runs import Qrels, Topic
from retrieval.metrics.tasks import EvaluationTask, make_task, read_beir

TEXTS = (
    "Statins lower the risk of a stroke.",
    "The liver stores glycogen and releases glucose.",
    "法院应当依法作出判决。",
)


def adapt(options: argparse.Namespace) -> Path | None:
    """Adapt, print the report, and return the folder; None if the base stays."""
    task = None if options.documents_only else halves(options)[0] if options.half else read_beir(options.beir, "train")
    settings = AdaptSettings(
        kinds=tuple(options.pairs if options.pairs is not None else AdaptSettings().kinds if task is None else ()),
        epochs=options.epochs,
        negatives=options.negatives,
        threads=options.threads,
        document_pairs=options.document_pairs,
    )
    started = time.monotonic()
    adaptation = Adaptation(options.collection, settings, task=task, watch=Watch(stage=print))
    report = adaptation.run(options.out)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"plan: {report.plan}")
    print(f"share {report.share:g}; development {report.development}; foreign {report.foreign}")
    print(f"{report.reason}; {(time.monotonic() - started) / 60:.0f} min, peak memory {peak:.0f} MB")
    return options.out if report.written else None


def halves(options: argparse.Namespace) -> tuple[EvaluationTask, EvaluationTask]:
    """Divide the queries of the split, by a digest: to adapt, and to measure."""
    task = read_beir(options.beir, options.split)
    parts: tuple[list[Topic], list[Topic]] = ([], [])
    for topic in task.topics:
        parts[hashlib.sha256(f"half {topic.text}".encode()).digest()[0] % 2].append(topic)
    adapting, measured = (
        make_task(task.name, tuple(part), Qrels("half", {topic.id: task.qrels.judgments[topic.id] for topic in part}))
        for part in parts
    )
    return adapting, measured


def likeness(folder: Path) -> float:
    """Return the least cosine of our vectors with those of sentence-transformers."""
    from sentence_transformers import SentenceTransformer

    encoder = load_encoder(folder, runtime="torch", precision="f32")
    prompted = [encoder.fingerprint.passage_prompt + text for text in TEXTS]
    theirs = SentenceTransformer(str(folder), device="cpu").encode(prompted, prompt="", normalize_embeddings=True)
    return float((encoder.encode_passages(TEXTS) * theirs).sum(1).min())


def show(name: str, pair: PairedComparison) -> None:
    d = pair.deciding
    interval = format_interval(d.low, d.high)
    print(f"| {name} | {len(pair.queries)} | {d.mean_a:.4f} | {d.mean_b:.4f} | {interval} | {format_p(d.p)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--beir", type=Path, required=True)
    parser.add_argument("--split", default="test", help="of the queries that are measured")
    parser.add_argument("--encoder", type=Path, help="measure this encoder; adapt none")
    parser.add_argument("--out", type=Path, help="folder of the adapted encoder")
    parser.add_argument("--documents-only", action="store_true")
    parser.add_argument("--half", action="store_true", help="adapt with half of the split, measure the other half")
    parser.add_argument("--pairs", nargs="*", help="kinds of pairs from documents")
    parser.add_argument("--negatives", type=int, default=AdaptSettings().negatives)
    parser.add_argument("--document-pairs", type=int, default=AdaptSettings().document_pairs)
    parser.add_argument("--epochs", type=float, default=AdaptSettings().epochs)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    folder = options.encoder or adapt(options)
    if folder is None:
        return
    base = load_encoder(read_manifest(options.collection).encoder.name)
    with linked_copy(options.collection) as copy:
        task = halves(options)[1] if options.half else read_beir(options.beir, options.split)
        verdict = judge(copy, base, load_encoder(folder), task)
    print("| mode | queries | base | adapted | difference | p |\n| --- | ---: | ---: | ---: | --- | --- |")
    show("dense", verdict.dense)
    show("default", verdict.default)
    print(f"least cosine with the vectors of sentence-transformers: {likeness(folder):.7f}")


if __name__ == "__main__":
    main()
