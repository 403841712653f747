"""The engine of a build on a Ray cluster.

This process routes documents and commits; tasks parse files, workers encode passages, and one process for each shard
writes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from indexer.cluster.connection import connected
from indexer.cluster.encoder_workers import on_cluster, places
from indexer.cluster.reader_tasks import ClusterParser
from indexer.cluster.shard_writers import ClusterHosts
from retrieval.encoder.local_encoder import LocalEncoder
from retrieval.encoder.sentence import SentenceEncoder


@dataclass(frozen=True, slots=True)
class ClusterEngine:
    """A `BuildEngine` of a Ray cluster."""

    ray: Any
    parse: ClusterParser
    hosts: ClusterHosts

    def encoder(self, encoder: SentenceEncoder) -> SentenceEncoder:
        """Encode on the cluster; a service behind a URL is asked by this process."""
        return on_cluster(encoder, self.ray) if isinstance(encoder, LocalEncoder) else encoder

    @property
    def workers(self) -> int:
        """The number of encoders that run at the same time."""
        return len(places(self.ray))


@contextmanager
def cluster_engine(address: str) -> Iterator[ClusterEngine]:
    """Connect to a cluster and yield its engine.  Raises ClusterError, MissingExtra."""
    with connected(address) as ray:
        yield ClusterEngine(ray, ClusterParser(ray), ClusterHosts(ray))
