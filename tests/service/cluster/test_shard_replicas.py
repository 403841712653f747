"""Shards on a Ray cluster answer as in one process, and go on when their processes are killed."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest

from indexer.building.collection_lifecycle import new_settings
from indexer.cluster.connection import connected
from indexer.writing.sharded_writer import open_writer
from retrieval.encoder.checkpoint.hub import DEFAULT
from retrieval.index.storage.settings import ChunkSettings, LexicalSettings, VectorSettings
from retrieval.search.searcher import open_searcher
from retrieval.types import Document, Mode, Passage, SearchRequest, Syntax
from service.cluster.shard_replicas import ClusterShards
from service.runtime.encoder_registry import EncoderRegistry
from tests.ray_cluster import running_cluster
from tests.retrieval.search.conftest import documents
from tests.retrieval.search.test_sharded import OPTIONS, QUERIES, outcome
from tests.service.conftest import Serve, eventually

pytestmark = pytest.mark.slow

SHARDS, REPLICAS = 4, 2
KILLS = 24
CLIENTS = 3
CHANGED_EVERY = 3  # kills
BODIES: tuple[dict[str, Any], ...] = (
    {"query": "trees and squirrels", "k": 12},
    {"query": "halley comet tail", "mode": "dense", "k": 12},
    {"query": "baked bread", "mode": "lexical", "k": 12, "facets": ["tags"]},
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with running_cluster() as started:
        yield started


@pytest.fixture(scope="module")
def ray(cluster: Any) -> Iterator[Any]:
    with connected(cluster.address) as module:
        yield module


def write(path: Path, encoders: EncoderRegistry, batch: Sequence[Document], gone: Sequence[str] = ()) -> int:
    """Commit documents, each as one passage; return the generation."""
    encoder = encoders.get(DEFAULT)
    create = new_settings(encoder, chunking=ChunkSettings(), lexical=LexicalSettings(), vectors=VectorSettings())
    with open_writer(path, create=create, shards=SHARDS) as writer:
        passages = [[Passage(0, len(each.text))] for each in batch]
        writer.add(list(batch), passages, np.asarray(encoder.encode_passages([each.text for each in batch])))
        writer.delete(list(gone))
        return writer.commit(encoder)


def test_answers_equal_those_of_one_process(ray: Any, encoders: EncoderRegistry, tmp_path: Path) -> None:
    chosen, encoder = random.Random(24), encoders.get(DEFAULT)
    shards = ClusterShards(ray, replicas=1, waiting=64, answer_s=60.0)
    for number in range(3):
        path = tmp_path / str(number)
        batch = chosen.sample(documents(), 40 - 9 * number)
        write(path, encoders, batch, [each.id for each in batch[:number]])
        with ExitStack() as stack:
            local = stack.enter_context(open_searcher(path, encoder=encoder))
            remote = stack.enter_context(open_searcher(path, encoder=encoder, join=shards.join))
            for options in OPTIONS:
                modes = [Mode(options["mode"])] if "mode" in options else [Mode.DENSE, Mode.LEXICAL, Mode.HYBRID]
                for mode in modes:
                    given = {"k": 50, "exact": True, "syntax": Syntax.OPERATORS} | options | {"mode": mode}
                    request = SearchRequest(chosen.choice(QUERIES), **given)
                    assert outcome(remote, request) == outcome(local, request)


def replica_processes(cluster: Any) -> list[psutil.Process]:
    found = []
    for node in cluster.list_all_nodes():
        raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
        for process in raylet.children(recursive=True):
            try:
                if "ray::ShardReplica" in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
    return found


def version(number: int) -> list[Document]:
    """Return the documents of a version, each with its number as a word and as a field."""
    texts = (f"{each.text} This is version {number}." for each in documents())
    return [
        Document(each.id, text, each.title, {**each.metadata, "version": float(number)})
        for each, text in zip(documents(), texts, strict=True)
    ]


def essence(answer: Mapping[str, Any]) -> Any:
    """Return what an answer tells of a generation."""
    return [(hit["id"], hit["score"], hit["metadata"]["version"]) for hit in answer["hits"]], answer["facets"]


@dataclass
class Clients:
    """Clients that search until they are stopped; a refused search is repeated once."""

    url: str
    answers: list[tuple[int, Any]] = field(default_factory=list)  # the search and its answer
    failures: list[str] = field(default_factory=list)
    repeated: int = 0
    done: threading.Event = field(default_factory=threading.Event)

    def run(self, seed: int) -> None:
        chosen = random.Random(seed)
        with httpx.Client(base_url=self.url, timeout=120) as http:
            while not self.done.is_set():
                number = chosen.randrange(len(BODIES))
                answer = http.post("/v1/collections/parts/search", json=BODIES[number])
                if answer.status_code in (429, 503):
                    self.repeated += 1
                    self.done.wait(float(answer.headers["Retry-After"]))
                    answer = http.post("/v1/collections/parts/search", json=BODIES[number])
                if answer.status_code == 200:
                    self.answers.append((number, answer.json()))
                else:
                    self.failures.append(answer.text)


def test_killed_replicas_lose_no_search(
    cluster: Any, ray: Any, serve: Serve, encoders: EncoderRegistry, tmp_path: Path
) -> None:
    """Kill one process after another while generations change: no search fails, mixes generations, or is wrong."""
    path, chosen = tmp_path / "served" / "parts", random.Random(24)
    expected: dict[int, list[Any]] = {}

    def change(number: int) -> None:
        generation = write(path, encoders, version(number))
        for http in (alone.http, served.http):
            eventually(lambda http=http: http.get("/v1/collections/parts").json()["generation"] == generation, 120)
        answers = [alone.http.post("/v1/collections/parts/search", json=body).json() for body in BODIES]
        expected[generation] = [essence(answer) for answer in answers]

    write(path, encoders, version(0))
    shards = ClusterShards(ray, REPLICAS, waiting=64, answer_s=60.0)
    with serve(tmp_path / "served") as alone, serve(tmp_path / "served", shards.join) as served:
        change(1)
        eventually(lambda: len(replica_processes(cluster)) == SHARDS * REPLICAS, 120)
        nodes = {process.ppid() for process in replica_processes(cluster)}
        assert len(nodes) == 2
        clients = Clients(served.url)
        threads = [threading.Thread(target=clients.run, args=(seed,)) for seed in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            for kill in range(KILLS):
                chosen.choice(replica_processes(cluster)).kill()
                if kill % CHANGED_EVERY == 0:
                    change(2 + kill)
                eventually(lambda: len(replica_processes(cluster)) == SHARDS * REPLICAS, 120)
                known = len(clients.answers)
                eventually(lambda known=known: len(clients.answers) > known + 5 or clients.failures, 120)
        finally:
            clients.done.set()
            for thread in threads:
                thread.join()
    assert clients.failures == []
    print(f"{KILLS} kills, {len(clients.answers)} searches, {clients.repeated} repeated")
    first = min(expected)
    for number, answer in clients.answers:
        assert answer["shards"] == {"total": SHARDS, "ok": SHARDS, "failed": []}
        assert answer["generation"] >= first
        assert essence(answer) == expected[answer["generation"]][number]
    eventually(lambda: not replica_processes(cluster), 60)  # they end with the service
