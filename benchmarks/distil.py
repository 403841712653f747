"""Measure the quality that students of `attendex distil` lose, and their speed.

    python -m benchmarks.distil collections/scifact --beir data/scifact encoders/l3 encoders/l3-256

The collection has the teacher's vectors.  The script encodes passages of the collection on one core, in turns, and
counts processor time, which other programs on the machine change little.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from benchmarks.encoders import seconds
from indexer.adapting.guard import judge
from indexer.maintenance.linked_copy import linked_copy
from retrieval.encoder.checkpoint.hub import locate
from retrieval.encoder.checkpoint.model_folder import open_folder, weight_files
from retrieval.encoder.loading import load_encoder
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.index.storage.manifest import read_manifest
from retrieval.metrics.comparison import format_interval, format_p
from retrieval.metrics.tasks import read_beir
from retrieval.search.searcher import open_searcher

PASSAGES = 64  # encoded in a round
ROUNDS = 4  # the first compiles


def megabytes(name: str) -> float:
    folder = open_folder(locate(name))
    return sum(path.stat().st_size for path in weight_files(folder.transformer)) / 1e6


def fastest(encoders: Sequence[SentenceEncoder], texts: Sequence[str]) -> list[float]:
    """Return texts a second of processor time, of each encoder's best round."""
    rounds = [[seconds(encoder, texts) for encoder in encoders] for _ in range(ROUNDS)]
    return [len(texts) / min(times[1:]) for times in zip(*rounds, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collection", type=Path)
    parser.add_argument("students", nargs="+")
    parser.add_argument("--beir", type=Path, required=True)
    parser.add_argument("--split", default="test", help="of the queries that are measured")
    options = parser.parse_args()
    task = read_beir(options.beir, options.split)
    teacher = read_manifest(options.collection).encoder.name
    names = [teacher, *options.students]
    with open_searcher(options.collection) as searcher:
        texts = [passage for _, passage in searcher.reader.texts(range(PASSAGES))]
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    encoders = [load_encoder(name) for name in names]
    speeds = fastest(encoders, texts)
    print("| encoder | numbers | MB | passages/s a core | dense nDCG@10 | difference | p |")
    print("| --- | ---: | ---: | ---: | ---: | --- | --- |")
    for name, encoder, speed in zip(names[1:], encoders[1:], speeds[1:], strict=True):
        with linked_copy(options.collection) as copy:
            found = judge(copy, encoders[0], encoder, task).dense.deciding
        row = f"| {Path(name).name} | {encoder.dimension} | {megabytes(name):.0f} | {speed:.1f} | {found.mean_b:.4f} |"
        print(f"{row} {format_interval(found.low, found.high)} | {format_p(found.p)} |", flush=True)
    print(
        f"teacher {teacher}: {encoders[0].dimension} numbers, {megabytes(teacher):.0f} MB, {speeds[0]:.1f} passages/s"
    )
    print(f"its dense nDCG@10: {found.mean_a:.4f}")


if __name__ == "__main__":
    main()
