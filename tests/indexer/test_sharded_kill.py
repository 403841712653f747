"""Writers of a sharded collection are killed at random times; no reader sees shards of two generations."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from indexer.maintenance.sharded_verify import verify_collection
from retrieval.index.storage.sharded_manifest import read_sharded_manifest
from tests.indexer.test_kill import kill
from tests.indexer.writing.test_sharded_writer import build, state

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = 20
KILLS = 60

WRITER = """
import random, sys
from pathlib import Path
sys.path[:0] = [sys.argv[1]]
from indexer.maintenance.sharded_changes import merge_all, roll_back_all
from indexer.writing.pending_generation import SegmentLimits
from indexer.writing.sharded_writer import ShardedWriter
from tests.indexer.conftest import Bench, hand_made_settings
from tests.indexer.writing.test_sharded_writer import put
dice = random.Random(int(sys.argv[3]))
bench = Bench(Path(sys.argv[2]), hand_made_settings())
print("started", flush=True)
while True:
    with ShardedWriter(bench.path, limits=SegmentLimits(passages=4), wait_s=10) as writer:
        version = writer.generation + 1
        put(bench, writer, [bench.document(f"d{n}", f"made in {version}") for n in range(int(sys.argv[4]))])
        writer.commit()
    if dice.random() < 0.2:
        roll_back_all(bench.path, wait_s=10)
    if dice.random() < 0.2:
        merge_all(bench.path, fully=True)
"""


def read(bench: Any) -> str:
    """Check the current generation; return the text that all its documents have."""
    found = state(bench.path) or {}
    assert len(found) == DOCUMENTS
    [text] = set(found.values())
    return text


@pytest.mark.slow
def test_killed_writers_leave_one_generation_in_all_shards(bench: Any) -> None:
    build(bench, [bench.document(f"d{n}", "made in 1") for n in range(DOCUMENTS)])
    dice, generation, seen = random.Random(24), 1, set()
    for number in range(KILLS):
        arguments = [sys.executable, "-c", WRITER, str(ROOT), str(bench.folder), str(number), str(DOCUMENTS)]
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        deadline = time.monotonic() + dice.uniform(0.0, 1.5)
        while time.monotonic() < deadline:
            seen.add(read(bench))
        kill(process)
        seen.add(read(bench))
        assert read_sharded_manifest(bench.path).generation >= generation
        generation = read_sharded_manifest(bench.path).generation
        verified = verify_collection(bench.path)
        assert verified.ok, verified
    assert len(seen) > KILLS // 8, "the writers were killed before they could write"
    build(bench, [bench.document("last")])
    assert verify_collection(bench.path).orphans == ()
