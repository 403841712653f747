"""Where the writers of shards run: in this process, or on other machines."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from indexer.writing.document_writer import DocumentWriter
from indexer.writing.garbage import Retention
from indexer.writing.pending_generation import SegmentLimits
from indexer.writing.writer import Writer
from retrieval.encoder.sparse import SparseEncoder
from retrieval.index.collection.document_ids import Digests
from retrieval.index.storage.settings import CollectionSettings
from retrieval.protocols import Encoder
from retrieval.util.files import Files

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class ShardOptions:
    """How to open the writer of a shard; the fields are those of `Writer`."""

    create: CollectionSettings | None
    cause: str
    wait_s: float
    retention: Retention
    limits: SegmentLimits
    files: Files = field(default_factory=Files)


class ShardWriter(DocumentWriter, Protocol):
    """The writer of one shard; the methods are those of `Writer`."""

    def resume(self) -> None: ...

    def delete_digests(self, ids: Digests) -> int: ...

    def prepare(self, encoder: Encoder | None, sparse_encoder: SparseEncoder | None) -> object | None: ...

    def make_current(self) -> None: ...


class ShardHosts(Protocol):
    """Opens the writers of shards, and calls several of them."""

    def writer(self, path: Path, options: ShardOptions) -> ShardWriter:
        """Return the writer of the shard at `path`, a context that is not entered yet."""

    def each(self, call: Callable[[T], U], items: Iterable[T]) -> list[U]:
        """Return `call` of each item, in order."""


class ThisProcess:
    """Runs all writers in this process, one after the other."""

    def writer(self, path: Path, options: ShardOptions) -> ShardWriter:
        return Writer(
            path,
            create=options.create,
            cause=options.cause,
            wait_s=options.wait_s,
            retention=options.retention,
            limits=options.limits,
            files=options.files,
        )

    def each(self, call: Callable[[T], U], items: Iterable[T]) -> list[U]:
        return [call(item) for item in items]
