"""Where a build runs: in this process, or on the machines of a cluster."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from indexer.readers.opening import FileParser, parse_files
from indexer.writing.shard_hosts import ShardHosts, ThisProcess
from retrieval.encoder.sentence import SentenceEncoder


class BuildEngine(Protocol):
    """Parses files, encodes passages and writes shards.

    The bytes of a collection do not depend on the engine.
    """

    @property
    def parse(self) -> FileParser:
        """The parser of the files of all sources."""

    @property
    def hosts(self) -> ShardHosts:
        """Where the writers of shards run."""

    @property
    def workers(self) -> int:
        """The number of encoders that run at the same time."""

    def encoder(self, encoder: SentenceEncoder) -> SentenceEncoder:
        """Return an encoder with the vectors of `encoder`, for the passages of a build."""


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """Runs the whole build in this process and its parser processes."""

    parse: FileParser = parse_files
    hosts: ShardHosts = field(default_factory=ThisProcess)
    workers: int = 1

    def encoder(self, encoder: SentenceEncoder) -> SentenceEncoder:
        return encoder
