"""Processes of a Ray cluster that open a shard and answer a router.

All machines must see the collections under the same paths.  A process that dies is started again, also on another
machine.  Each request names its generation, so that no answer mixes two.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from indexer.cluster.messages import decode, encode
from retrieval.errors import AttendexError, CollectionError, CorruptCollection, Overloaded, ShardUnavailable
from retrieval.index.collection.index_reader import IndexReader, open_index_reader
from retrieval.index.collection.routed_reader import RoutedReader
from retrieval.index.collection.shards import ShardAnswer, ShardRequest, answer
from retrieval.index.storage.sharded_manifest import ShardedManifest, shard_path
from service.cluster.replica_set import HedgedCall, ReplicaSet

THREADS = 4  # of a replica
KEPT_GENERATIONS = 3  # that a replica has open
WARM_S = 60.0  # until a generation is served although a replica has not opened it


@dataclass(frozen=True, slots=True)
class GenerationKey:
    """A generation of a shard; `created` tells it from one of a dropped collection."""

    number: int
    created: datetime


class ShardReplica:
    """A process that has a shard open; Ray calls it from several threads."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._open: dict[GenerationKey, IndexReader] = {}
        self._lock = threading.Lock()

    def call(self, message: bytes) -> bytes:
        """Return a pair: the error or None, and the answer.

        A message names a generation, and has a request or None to open it.
        """
        try:
            number, created, request = decode(message)
            reader = self._reader(GenerationKey(number, created))
            return encode([None, None if request is None else answer(reader, request)])
        except AttendexError as error:
            return encode([error, None])

    def _reader(self, key: GenerationKey) -> IndexReader:
        with self._lock:
            reader = self._open.get(key)
            if reader is None:
                newest = next(reversed(self._open.values()), None)
                reader = open_index_reader(self._folder, key.number, previous=newest)
                if reader.manifest.created != key.created:
                    raise CollectionError(f"{self._folder} has another generation {key.number}")
                self._open[key] = reader
                for old in list(self._open)[:-KEPT_GENERATIONS]:
                    del self._open[old]  # a thread may still read it; the last one closes its files
            return reader


class RayReplica:
    """A `ReplicaProcess` that is an actor of a cluster."""

    def __init__(self, ray: Any, actor: Any) -> None:
        self._actor = actor
        self._full = ray.exceptions.PendingCallsLimitExceeded

    def send(self, message: bytes) -> Future[bytes]:
        try:
            sent: Future[bytes] = self._actor.call.remote(message).future()
        except self._full as error:
            raise Overloaded("too many requests wait for a shard; try again in a second") from error
        return sent


class RemoteShard:
    """A `Shard` of one generation, which replicas answer."""

    def __init__(self, cluster: ClusterShards, folder: Path, reader: IndexReader) -> None:
        self.name = folder.name
        self._cluster = cluster
        self._folder = folder
        self._generation = reader.manifest.generation, reader.manifest.created
        self._replicas = cluster.replicas_of(folder)

    def ask(self, request: ShardRequest) -> WaitForAnswer:
        return WaitForAnswer(self.name, self._replicas.ask(self._message(request)))

    def opened(self) -> list[Future[bytes]]:
        """Let all replicas open the generation."""
        sent = []
        for replica in self._replicas.replicas:
            try:
                sent.append(replica.send(self._message(None)))
            except Overloaded:
                continue  # it opens the generation with the first search of it
        return sent

    def close(self) -> None:
        """Let go of the replicas, which end with their last generation."""
        self._cluster.release(self._folder)

    def _message(self, request: ShardRequest | None) -> bytes:
        return encode([*self._generation, request])


@dataclass(frozen=True, slots=True)
class WaitForAnswer:
    """Waits for the answer of a shard when it is called."""

    shard: str
    call: HedgedCall

    def __call__(self) -> ShardAnswer:
        """Return the answer.  Raises ShardUnavailable, Overloaded, CorruptCollection."""
        error, answered = decode(self.call.result())
        if isinstance(error, CollectionError) and not isinstance(error, CorruptCollection):
            raise ShardUnavailable("it does not have the generation of this search", shard=self.shard) from error
        if error is not None:
            raise error
        found: ShardAnswer = answered
        return found


@dataclass(slots=True, eq=False)
class _Shared:
    """The replicas of a folder, and the number of open generations that use them."""

    replicas: ReplicaSet
    actors: list[Any]
    users: int = 0


class ClusterShards:
    """The replicas of all shards that a service has open.

    `replicas` is their number for each shard, `waiting` the most requests that wait for one of them, and `answer_s` the
    deadline of a request.
    """

    def __init__(self, ray: Any, replicas: int, waiting: int, answer_s: float) -> None:
        self._ray = ray
        self._replicas = replicas
        self._waiting = waiting
        self._answer_s = answer_s
        self._shared: dict[Path, _Shared] = {}
        self._started = 0
        self._lock = threading.Lock()

    def join(self, path: Path, manifest: ShardedManifest, readers: Sequence[IndexReader]) -> RoutedReader:
        """Return the reader of a generation whose shards rank on the cluster.

        All replicas open it before; one that does not is left to its restart.
        """
        folders = [shard_path(path, record.name).absolute() for record in manifest.shards]
        shards = [RemoteShard(self, folder, reader) for folder, reader in zip(folders, readers, strict=True)]
        try:
            wait([each for shard in shards for each in shard.opened()], WARM_S)
            return RoutedReader(path, manifest, readers, shards)
        except BaseException:
            for shard in shards:
                shard.close()
            raise

    def replicas_of(self, folder: Path) -> ReplicaSet:
        """Return the replicas of a shard, until `release`; start them for the first."""
        with self._lock:
            shared = self._shared.get(folder)
            if shared is None:
                shared = self._shared[folder] = self._start(folder)
            shared.users += 1
            return shared.replicas

    def release(self, folder: Path) -> None:
        """End the replicas of a shard if no other generation uses them."""
        with self._lock:
            shared = self._shared[folder]
            shared.users -= 1
            if shared.users:
                return
            del self._shared[folder]
        for actor in shared.actors:
            self._ray.kill(actor)

    def _start(self, folder: Path) -> _Shared:
        """Start the replicas of a shard on different machines, if there are enough."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        nodes = sorted(node["NodeID"] for node in self._ray.nodes() if node["Alive"])
        self._started += 1
        kind = self._ray.remote(ShardReplica)
        options = {"num_cpus": 0, "max_concurrency": THREADS, "max_restarts": -1, "max_pending_calls": self._waiting}
        actors = []
        for number in range(self._replicas):
            place = NodeAffinitySchedulingStrategy(nodes[(self._started + number) % len(nodes)], soft=True)
            actors.append(kind.options(**options, scheduling_strategy=place).remote(str(folder)))
        replicas = ReplicaSet(folder.name, [RayReplica(self._ray, each) for each in actors], self._answer_s)
        return _Shared(replicas, actors)
