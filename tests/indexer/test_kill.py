"""Writers are killed at random times; the collection stays complete for readers."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.maintenance.verify import verify
from retrieval.errors import CollectionLocked
from retrieval.index.collection.index_reader import open_index_reader
from tests.indexer.faults import clean

ROOT = Path(__file__).resolve().parents[2]

WRITER = """
import random, sys
from pathlib import Path
sys.path[:0] = [sys.argv[1]]
from tests.indexer.conftest import Bench, hand_made_settings
from indexer.maintenance.background_merge import merge_collection
from indexer.maintenance.rollback import roll_back
from indexer.writing.pending_generation import SegmentLimits
dice = random.Random(int(sys.argv[3]))
bench = Bench(Path(sys.argv[2]), hand_made_settings())
print("started", flush=True)
while True:
    with bench.writer(limits=SegmentLimits(passages=8), wait_s=10) as writer:
        version = writer.generation + 1
        bench.put(writer, [bench.document(f"d{dice.randrange(20)}", f"made in {version}") for _ in range(12)])
        writer.delete([f"d{dice.randrange(20)}"])
        bench.put(writer, [bench.document("marker", str(version))])
        writer.commit()
    if dice.random() < 0.2:
        roll_back(bench.path, wait_s=10)
    if dice.random() < 0.2:
        merge_collection(bench.path, fully=True)
"""


def start(bench: Any, seed: int) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", WRITER, str(ROOT), str(bench.folder), str(seed)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    assert process.poll() is None, "the writer ended by itself"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    if process.stdin is not None:
        process.stdin.close()


def read(bench: Any, least: int) -> int:
    """Read and check the current generation; return its number, which never decreases."""
    with open_index_reader(bench.path) as reader:
        reader.check_all()
        rows = np.flatnonzero(reader.live_documents)
        documents = reader.documents(rows)
        assert reader.manifest.generation >= least
        assert len({each.id for each in documents}) == len(documents) == reader.manifest.documents
        vectors = bench.vectors(documents)
        found = [each.rows for each in reader.vectors.search(vectors, 1, allowed=reader.live)]
        assert all(len(each) == 1 for each in found)
        return reader.manifest.generation


def storm(bench: Any, kills: int) -> None:
    bench.add(bench.document("marker", "1"))
    dice = random.Random(2)
    generation = 1
    for number in range(kills):
        process = start(bench, number)
        deadline = time.monotonic() + dice.uniform(0.0, 1.2)
        while time.monotonic() < deadline:
            generation = read(bench, generation)
        kill(process)
        generation = read(bench, generation)
        found = verify(bench.path)
        assert found.ok, found
    bench.add(bench.document("last"))
    assert clean(bench.path)
    assert generation > kills // 8, "the writers were killed before they could write"


def test_a_few_kills(bench: Any) -> None:
    storm(bench, 3)


@pytest.mark.slow
def test_a_storm_of_kills(bench: Any) -> None:
    storm(bench, 120)


def test_the_lock_of_a_dead_process_is_taken_over(bench: Any) -> None:
    bench.add(bench.document("a"))
    code = (
        "import sys; from pathlib import Path; from retrieval.util.files import take_lock\n"
        "lock = take_lock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(bench.path / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(CollectionLocked, match=f"held by process {process.pid} on "):
        bench.add(bench.document("b"))
    kill(process)
    assert bench.add(bench.document("b")) == 2
