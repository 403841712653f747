"""Measure where the processor time of `attendex index` goes, stage by stage.

    python -m benchmarks.indexing SOURCE [--documents 60000] [--encoder-free]

The script indexes the first documents of SOURCE (JSONL, also compressed) with `build_collection` in this process, and
samples all threads: each sample adds the processor time that a thread used to the stage that the thread is in.  Then it
encodes the same texts alone.  It prints a table of stages, the seconds after the last passage was encoded, and the
ratio of the whole to encoding alone.  `--encoder-free` gives each passage a vector made from its tokens by a few
multiplications, so that only the other stages remain: the time of a machine whose encoder takes no time.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from unittest.mock import patch

import numpy as np

from indexer.building import pipeline
from retrieval.encoder.loading import load_encoder
from retrieval.encoder.runtime.openvino_runtime import OpenVINORuntime
from retrieval.encoder.runtime.token_batches import TokenBatch
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.index.collection.document_store import passage_text
from retrieval.index.collection.index_reader import open_index_reader
from retrieval.types import Vectors

SAMPLE_S = 0.005
BLOCK = 4_096  # passages that are read together
DIRECTIONS = np.random.default_rng(1).standard_normal((1024, 384), dtype=np.float32)
STAGES = {  # a function of the stage, by file and name: the innermost one on the stack decides
    ("building/source_reading.py", "read_documents"): "read",
    ("building/source_reading.py", "batch_documents"): "read",
    ("writing/writer.py", "unchanged"): "compare",
    ("building/pipeline.py", "_chunk_block"): "split",
    ("search/readability.py", "unreadable_shares"): "measure readability",
    ("building/deduplicated_encoding.py", "_plan"): "find equal texts",
    ("building/deduplicated_encoding.py", "_gather"): "find equal texts",
    ("building/deduplicated_encoding.py", "_keep"): "find equal texts",
    ("checkpoint/tokenizer.py", "ids"): "tokenise",
    ("encoder/local_encoder.py", "_window"): "plan batches",
    ("encoder/local_encoder.py", "_assemble"): "plan batches",
    ("runtime/openvino_runtime.py", "run"): "encode",
    ("benchmarks/indexing.py", "cheap_vectors"): "encode",
    ("writing/writer.py", "add"): "write",
    ("writing/pending_generation.py", "_finish_segment"): "finish segments",
    ("writing/lexical_build.py", "_index"): "words",
    ("writing/segment_merge.py", "merge_segments"): "merge segments",
    ("writing/prepare_commit.py", "plan_ann_index"): "find equal vectors",
    ("writing/prepare_commit.py", "build_ann_index"): "graph",
    ("writing/lexical_build.py", "write_lexical_index"): "finish words",
    ("writing/calibration.py", "calibrated"): "calibrate",
}


class StageSampler:
    """Adds up the processor time of this process by stage, in a thread."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.wall: defaultdict[str, float] = defaultdict(float)  # in which at least one thread was in the stage
        self.encoded = 0.0  # when the last batch was encoded
        self._used: dict[int, int] = {}
        self._ended = threading.Event()

    @contextmanager
    def sampling(self) -> Iterator[None]:
        """Sample until the block ends."""
        list(self._spent())  # what the threads used before does not count
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _run(self) -> None:
        before = time.perf_counter()
        while not self._ended.wait(SAMPLE_S):
            now = time.perf_counter()
            frames = sys._current_frames()
            stages = {thread.native_id: _stage(frames.get(thread.ident or 0)) for thread in threading.enumerate()}
            here = set(stages.values())
            # Threads of libraries have no Python frames; FAISS's run while a graph is built, the encoder's otherwise.
            foreign = next((stage for stage in ("graph", "find equal vectors") if stage in here), "encode")
            for thread_id, seconds in self._spent():
                self.seconds[stages.get(thread_id, foreign)] += seconds
            for stage in here:
                self.wall[stage] += now - before
            if "encode" in here:
                self.encoded = now
            before = now

    def _spent(self) -> Iterator[tuple[int, float]]:
        """Yield each thread's processor time since the last sample, in seconds."""
        own = threading.get_native_id()
        for task in Path("/proc/self/task").iterdir():
            number = int(task.name)
            try:
                used = int((task / "schedstat").read_text(encoding="ascii").split()[0])
            except OSError:
                continue  # the thread has ended
            last = self._used.get(number, 0)
            self._used[number] = used
            if number != own:
                yield number, (used - last) / 1e9


def _stage(frame: FrameType | None) -> str:
    while frame is not None:
        code = frame.f_code
        found = STAGES.get(("/".join(code.co_filename.rsplit("/", 2)[-2:]), code.co_name))
        if found:
            return found
        frame = frame.f_back
    return "other"


def cheap_vectors(_runtime: OpenVINORuntime, batch: TokenBatch, *, save_cpu: bool = False) -> Vectors:
    """Return unit vectors that depend on the tokens of each text alone."""
    del save_cpu
    lengths = np.asarray(batch.lengths, dtype=np.int64)
    firsts = np.cumsum(lengths) - lengths
    sums = np.add.reduceat(DIRECTIONS[np.asarray(batch.ids) % len(DIRECTIONS)], firsts)
    return np.asarray(sums / np.linalg.norm(sums, axis=1, keepdims=True), dtype=np.float32)


def first_lines(source: Path, count: int) -> list[str]:
    """Return the first documents of a JSONL file, which may be compressed."""
    opened = gzip.open if source.suffix == ".gz" else open
    with opened(source, "rt", encoding="utf-8") as file:
        return list(itertools.islice(file, count))


def index(source: Path, into: Path, *, encoder_free: bool) -> tuple[StageSampler, float, float]:
    """Build a collection; return the sampler, the seconds and the processor time."""
    sampler = StageSampler()
    replaced = patch.object(OpenVINORuntime, "run", cheap_vectors) if encoder_free else nullcontext()
    used, started = time.process_time(), time.perf_counter()
    with sampler.sampling(), replaced:
        pipeline.build_collection([source], into)
    ended = time.perf_counter()
    print(f"{ended - sampler.encoded:.1f} s after the last passage was encoded")
    return sampler, ended - started, time.process_time() - used


def encode_alone(collection: Path, encoder: SentenceEncoder) -> float:
    """Encode the different texts of a collection once more; return the seconds."""
    texts: dict[str, None] = {}
    with open_index_reader(collection) as reader:
        for start in range(0, len(reader.document_of), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(reader.document_of)))
            documents, passages = reader.documents(reader.document_of[rows]), reader.passages(rows)
            for document, passage in zip(documents, passages, strict=True):
                text = document.text[passage.start : passage.end]
                texts[passage_text(document.title, passage.heading, text)] = None
    started = time.perf_counter()
    encoder.encode_passages(list(texts))
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--documents", type=int, default=60_000)
    parser.add_argument("--encoder-free", action="store_true")
    arguments = parser.parse_args()
    lines = first_lines(arguments.source, arguments.documents)
    encoder = load_encoder()
    with tempfile.TemporaryDirectory(prefix="attendex-indexing-") as name:
        source, collection = Path(name, "documents.jsonl"), Path(name, "collection")
        source.write_text("".join(lines), encoding="utf-8")
        sampler, whole, cpu = index(source, collection, encoder_free=arguments.encoder_free)
        alone = 0.0 if arguments.encoder_free else encode_alone(collection, encoder)
    print(f"{len(lines):,} documents: {whole:.1f} s, {cpu:.1f} s of processor time")
    if alone:
        print(f"encoding alone: {alone:.1f} s; the whole is {whole / alone:.2f} times as long")
    print("| stage | processor time, s | share | wall time in which a thread was there, s |")
    print("| --- | ---: | ---: | ---: |")
    for stage, seconds in sorted(sampler.seconds.items(), key=lambda item: -item[1]):
        print(f"| {stage} | {seconds:.2f} | {seconds / cpu:.1%} | {sampler.wall[stage]:.2f} |")
    rest = cpu - sum(sampler.seconds.values())
    print(f"| samples, and threads that ended between two | {rest:.2f} | {rest / cpu:.1%} | |")


if __name__ == "__main__":
    main()
