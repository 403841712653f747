"""A build on a Ray cluster gives the bytes of a local one, and survives the death of any of its processes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from indexer.building.build_plan import plan_build
from indexer.building.pipeline import BuildReport, BuildSettings, build_collection
from indexer.cluster.engine import cluster_engine
from indexer.writing import sharded_writer
from indexer.writing.resume_journal import read_journal
from retrieval.errors import ClusterError, CollectionError, NotACollection
from retrieval.index.collection.sharded_reader import open_reader
from tests.indexer.cluster.build_process import small_segments
from tests.indexer.cluster.sources import digests, write_sources
from tests.ray_cluster import ROOT, running_cluster

pytestmark = pytest.mark.slow

SHARDS = 2
KILLS = 40  # of processes of the cluster and of the process that builds
KILLS_OF_ONE_VERSION = 4
DEADLINE_S = 300.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with running_cluster() as started:
        yield started


@pytest.fixture(autouse=True)
def many_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharded_writer, "_limits", small_segments)


def build(cluster: Any, sources: Path, into: Path) -> BuildReport:
    with cluster_engine(cluster.address) as engine:
        return build_collection([sources], into, BuildSettings(shards=SHARDS, sync=True), engine=engine)


def test_a_cluster_gives_the_bytes_of_one_process(cluster: Any, tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    for version in (1, 2):  # new, then changed
        write_sources(sources, version)
        local = build_collection([sources], tmp_path / "local", BuildSettings(shards=SHARDS, sync=True))
        remote = build(cluster, sources, tmp_path / "remote")
        assert (remote.documents, remote.encoded_texts) == (local.documents, local.encoded_texts)
        assert digests(tmp_path / "remote") == digests(tmp_path / "local")
    again = build(cluster, sources, tmp_path / "remote")
    assert (again.encoded_texts, again.generation, again.unchanged) == (0, 2, remote.documents)


def test_a_plan_divides_by_the_workers(cluster: Any, tmp_path: Path) -> None:
    write_sources(tmp_path / "sources", 1)
    with cluster_engine(cluster.address) as engine:
        plan = plan_build([tmp_path / "sources"], tmp_path / "new", BuildSettings(shards=4), workers=engine.workers)
    assert plan.workers == 2
    assert plan.seconds == pytest.approx(plan.passages / plan.passages_per_second / 2)
    assert plan.shards == 4
    assert 0 < plan.shard_memory_bytes < plan.peak_memory_bytes


def workers(cluster: Any, kind: str) -> list[psutil.Process]:
    """Return the processes of a kind, as Ray names them."""
    found = []
    for node in cluster.list_all_nodes():
        raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
        for process in raylet.children(recursive=True):
            try:
                if f"ray::{kind}" in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
    return found


def kill_one(cluster: Any, kind: str, chosen: random.Random) -> bool:
    found = workers(cluster, kind)
    if found:
        try:
            chosen.choice(found).kill()
        except psutil.NoSuchProcess:
            return False
    return bool(found)


def texts_in(collection: Path) -> dict[str, str]:
    """Return the documents with ids of their own that a reader finds; empty without a collection."""
    try:
        reader = open_reader(collection)
    except NotACollection:
        return {}
    with reader:
        reader.check_all()
        documents = reader.documents(np.flatnonzero(reader.live_documents))
        return {each.id: each.text for each in documents if each.id != "note.md"}


def finished_documents(collection: Path) -> int:
    """Return the documents in the finished segments of an interrupted build."""
    journals = [read_journal(shard) for shard in sorted((collection / "shards").glob("*"))]
    return sum(segment.documents for each in journals if each is not None for segment in each.segments)


def killed_build(
    cluster: Any, sources: Path, into: Path, kill: Callable[[], bool], after_s: float
) -> tuple[bool, bool]:
    """Build while a thread kills; return whether it killed, and whether the build ended well."""
    killed: list[bool] = []
    done = threading.Event()

    def killer() -> None:
        done.wait(after_s)
        while not done.is_set() and not killed:
            if kill():
                killed.append(True)
            else:
                done.wait(0.02)  # until Ray has started such a process

    thread = threading.Thread(target=killer)
    thread.start()
    try:
        build(cluster, sources, into)
    except (ClusterError, CollectionError):
        return bool(killed), False
    finally:
        done.set()
        thread.join()
    return bool(killed), True


def kill_builder(cluster: Any, sources: Path, into: Path, after_s: float) -> None:
    """Run the process that builds, and kill it."""
    command = [sys.executable, "-m", "tests.indexer.cluster.build_process", cluster.address, sources, into, str(SHARDS)]
    process = subprocess.Popen([str(each) for each in command], cwd=ROOT, env=os.environ, stderr=subprocess.DEVNULL)
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        process.kill()
    finally:
        process.wait(DEADLINE_S)


def test_killed_processes_lose_nothing(cluster: Any, tmp_path: Path) -> None:
    """Any process dies at any moment: run again, no document is lost, and finished segments are not encoded again."""
    chosen, sources, into = random.Random(24), tmp_path / "sources", tmp_path / "collection"
    kills, version, before = 0, 0, {}
    while kills < KILLS:
        version += 1
        wanted = write_sources(sources, version)
        of_version, ended = 0, False
        while not ended:
            finished = finished_documents(into)
            kind = chosen.choice(("WriterProcess", "WriterProcess", "EncoderWorker", "parse_file", "builder"))
            if of_version == KILLS_OF_ONE_VERSION:
                report = build(cluster, sources, into)
                assert report.resumed >= finished
                ended = True
            elif kind == "builder":
                kill_builder(cluster, sources, into, chosen.uniform(4.0, 16.0))
                of_version += 1
                ended = texts_in(into) == wanted
            else:
                killed, ended = killed_build(
                    cluster, sources, into, lambda kind=kind: kill_one(cluster, kind, chosen), chosen.uniform(0.0, 3.0)
                )
                of_version += killed
            assert texts_in(into) in ({**before}, wanted), f"mixed after {kind}"
        kills += of_version
        assert texts_in(into) == wanted
        before = wanted
