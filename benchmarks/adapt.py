"""Measure `attendex adapt` on queries that it never saw.

    python -m benchmarks.adapt collections/scifact --beir data/scifact --out encoders/scifact
    python -m benchmarks.adapt collections/scifact --beir data/scifact --out encoders/scifact --documents-only
    python -m benchmarks.adapt collections/cranfield --beir data/cranfield --encoder encoders/scifact

The first line adapts with the train split and measures the test split: base against adapted encoder, dense and in the
default mode, with a paired test.  The last line measures an encoder that exists, as for forgetting.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

from indexer.adapting.adapt import Adaptation, AdaptSettings, Watch
from indexer.adapting.guard import judge
from indexer.maintenance.linked_copy import linked_copy
from retrieval.encoder.loading import load_encoder
from retrieval.index.storage.manifest import read_manifest
from retrieval.metrics.comparison import PairedComparison, format_interval, format_p
from retrieval.metrics.tasks import read_beir


def adapt(options: argparse.Namespace) -> Path | None:
    """Adapt, print the report, and return the folder; None if the base stays."""
    settings = AdaptSettings(
        kinds=tuple(options.pairs),
        epochs=options.epochs,
        threads=options.threads,
        document_pairs=options.document_pairs,
    )
    task = None if options.documents_only else read_beir(options.beir, "train")
    started = time.monotonic()
    adaptation = Adaptation(options.collection, settings, task=task, watch=Watch(stage=print))
    report = adaptation.run(options.out)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"plan: {report.plan}")
    print(f"share {report.share:g}; development {report.development}; foreign {report.foreign}")
    print(f"{report.reason}; {(time.monotonic() - started) / 60:.0f} min, peak memory {peak:.0f} MB")
    return options.out if report.written else None


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
    parser.add_argument("--pairs", nargs="*", default=AdaptSettings().kinds)
    parser.add_argument("--document-pairs", type=int, default=AdaptSettings().document_pairs)
    parser.add_argument("--epochs", type=float, default=AdaptSettings().epochs)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    folder = options.encoder or adapt(options)
    if folder is None:
        return
    base = load_encoder(read_manifest(options.collection).encoder.name)
    with linked_copy(options.collection) as copy:
        verdict = judge(copy, base, load_encoder(folder), read_beir(options.beir, options.split))
    print("| mode | queries | base | adapted | difference | p |\n| --- | ---: | ---: | ---: | --- | --- |")
    show("dense", verdict.dense)
    show("default", verdict.default)


if __name__ == "__main__":
    main()
