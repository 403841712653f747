"""The writer of a sharded collection: one for each shard, and one commit.

Each document goes to the shard of the bucket of its id.  The fields of all shards have the same types, because they are
inferred from the documents of all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from indexer.writing.change_detection import can_be_added, check_documents
from indexer.writing.collection_lock import CollectionLock
from indexer.writing.document_writer import DocumentWriter
from indexer.writing.garbage import Retention
from indexer.writing.pending_generation import SegmentLimits, WriterCounts
from indexer.writing.shard_hosts import ShardHosts, ShardOptions, ShardWriter, ThisProcess
from indexer.writing.sharded_commit import (
    calibrated_shards,
    next_generation,
    publish_shards,
    remove_old_generations,
    settle_shards,
)
from indexer.writing.writer import REMOTE_LIMITS, Writer
from retrieval.encoder.sparse import SparseEncoder
from retrieval.errors import InputError, NotACollection
from retrieval.index.collection.document_ids import Digests, id_digests
from retrieval.index.metadata.schema import extend_schema
from retrieval.index.storage.manifest import was_committed
from retrieval.index.storage.settings import CollectionSettings
from retrieval.index.storage.sharded_manifest import (
    MAX_SHARDS,
    SHARDS,
    ShardedManifest,
    ShardRecord,
    equal_buckets,
    is_sharded,
    read_shard_manifests,
    read_sharded_manifest,
    shard_of,
    shard_path,
)
from retrieval.index.vectors.token_codes import TokenCodes
from retrieval.protocols import Encoder
from retrieval.types import Document, Passage, Rows, Schema, Vectors
from retrieval.util.files import Files
from retrieval.util.remote_names import is_remote


def open_writer(
    path: Path,
    *,
    create: CollectionSettings | None = None,
    cause: str = "change",
    wait_s: float = 0.0,
    shards: int = 0,
    hosts: ShardHosts | None = None,
) -> DocumentWriter:
    """Return the writer of a collection, sharded or not; `shards` makes a missing one.

    `hosts` run the writers of shards; by default, this process does.  Raises InputError if the collection has another
    number of shards.
    """
    sharded = is_sharded(path)
    if not sharded and not shards:
        if (path / SHARDS).exists():
            raise InputError(f"{path}: holds an interrupted build of shards; give --shards, or name a new directory")
        return Writer(path, create=create, cause=cause, wait_s=wait_s)
    if not sharded and was_committed(path):
        raise InputError(f"{path}: is a collection without shards; index into a new directory")
    return ShardedWriter(path, create=create, cause=cause, wait_s=wait_s, shards=shards, hosts=hosts)


class ShardedWriter:
    """A context that holds the locks of all shards and builds one pending generation.

    Its contract is that of `Writer`.  `shards` is the number of shards of a missing collection.
    """

    def __init__(
        self,
        path: Path,
        *,
        create: CollectionSettings | None = None,
        cause: str = "change",
        wait_s: float = 0.0,
        shards: int = 0,
        limits: SegmentLimits | None = None,
        retention: Retention | None = None,
        files: Files | None = None,
        hosts: ShardHosts | None = None,
    ) -> None:
        if not 0 <= shards <= MAX_SHARDS:
            raise InputError(f"{shards} shards; choose 1 to {MAX_SHARDS}")
        self.path = path
        self.cause = cause
        self.generation = 0
        self._create = create
        self._wait_s = wait_s
        self._count = shards
        self._limits = limits
        self._retention = retention or Retention()
        self._files = files or Files()
        self._hosts: ShardHosts = hosts or ThisProcess()
        self._lock = CollectionLock(path, self._files)
        self._turn = RLock()  # a build looks for changes in the thread that reads ahead, and adds in another
        self._exit = ExitStack()
        self._writers: list[ShardWriter] = []

    def __enter__(self) -> ShardedWriter:
        self._lock.acquire(create=self._create is not None, wait_s=self._wait_s)
        try:
            self._open()
        except BaseException:
            try:
                self._exit.close()
            finally:
                self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._exit.__exit__(kind, error, trace)
        finally:
            self._lock.release()

    def _open(self) -> None:
        self._current = read_sharded_manifest(self.path) if was_committed(self.path) else None
        names = self._names()
        settle_shards(self.path, self._current, names, self._files)
        self._buckets = self._current.buckets if self._current else equal_buckets(len(names))
        limits = self._limits or _limits(self._create, self._current, len(names))
        options = ShardOptions(self._create, self.cause, self._wait_s, self._retention, limits, self._files)
        writers = [self._hosts.writer(shard_path(self.path, name), options) for name in names]
        self._writers = self._hosts.each(self._exit.enter_context, writers)
        self.settings = self._writers[0].settings
        self.generation = self._current.generation if self._current else 0
        self.declare_fields(self._current.schema if self._current else {})

    def _names(self) -> list[str]:
        if self._current is None:
            if not self._count:
                raise NotACollection(f"{self.path}: not a sharded collection; make one with `attendex index --shards`")
            return [f"{number:04d}" for number in range(self._count)]
        names = [each.name for each in self._current.shards]
        if self._count not in (0, len(names)):
            raise InputError(
                f"{self.path}: has {len(names)} shards, not {self._count}; leave the number out, or index into a new "
                "directory"
            )
        return names

    @property
    def counts(self) -> WriterCounts:
        """The documents handled so far in all shards."""
        names = [each.name for each in fields(WriterCounts)]
        return WriterCounts(**{name: sum(getattr(writer.counts, name) for writer in self._writers) for name in names})

    @property
    def schema(self) -> Schema:
        """The fields of the collection and of the documents added so far."""
        schema: dict[str, object] = {}
        for writer in self._writers:
            schema.update(writer.schema)
        return schema  # type: ignore[return-value]  # of the writers' own types

    def declare_fields(self, types: Schema) -> None:
        """Set the types of fields in all shards.  Raises SchemaError."""
        for writer in self._writers:
            missing = {name: kind for name, kind in types.items() if writer.schema.get(name) is not kind}
            if missing:
                writer.declare_fields(missing)

    def unchanged(self, documents: Sequence[Document]) -> list[bool]:
        """Return for each document whether it need not be added.

        Raises BadDocument and SchemaError as `add` does; then it has changed nothing.
        """
        with self._turn:
            self._hosts.each(lambda writer: writer.resume(), self._writers)
            self._check(documents)
            known = [False] * len(documents)
            routed = list(self._routed([document.id for document in documents]))
            found = self._hosts.each(lambda part: part[0].unchanged([documents[each] for each in part[1]]), routed)
            for (_, positions), same in zip(routed, found, strict=True):
                for position, each in zip(positions, same, strict=True):
                    known[position] = each
            return known

    def can_add(self, documents: Sequence[Document]) -> list[bool]:
        """Return for each document whether it can be added.

        Raises SchemaError if no types suit all.
        """
        schema = self._inferred(documents)
        return [can_be_added(document, schema) for document in documents]

    def add(
        self,
        documents: Sequence[Document],
        passages: Sequence[Sequence[Passage]],
        vectors: Vectors,
        unreadable: NDArray[np.float32] | None = None,
        tokens: TokenCodes | None = None,
    ) -> None:
        """Add documents with their passages and vectors to their shards."""
        with self._turn:
            self._check(documents)
            owners = np.repeat(np.arange(len(documents)), [len(each) for each in passages])
            for writer, positions in self._routed([document.id for document in documents]):
                rows = np.flatnonzero(np.isin(owners, positions))
                writer.add(
                    [documents[position] for position in positions],
                    [passages[position] for position in positions],
                    vectors[rows],
                    None if unreadable is None else unreadable[positions],
                    None if tokens is None else tokens.take(rows),
                )

    def _check(self, documents: Sequence[Document]) -> None:
        """Check all documents before the first is changed; declare their new fields."""
        schema = self._inferred(documents)
        check_documents(documents, schema)
        self.declare_fields(schema)

    def _inferred(self, documents: Sequence[Document]) -> Schema:
        if self.settings.schema is not None:
            return self.schema
        return extend_schema(self.schema, (document.metadata for document in documents))

    def _routed(self, ids: Sequence[str]) -> Iterator[tuple[ShardWriter, Rows]]:
        """Yield the writers with the positions of their ids, ascending."""
        shards = self._shards(id_digests(ids))
        for shard in np.unique(shards).tolist():
            yield self._writers[shard], np.flatnonzero(shards == shard)

    def _shards(self, digests: Digests) -> Rows:
        """Return the position of each id's shard."""
        return shard_of(digests, self._buckets)

    def stored(self, ids: Sequence[str]) -> dict[str, Document]:
        """Return the documents that the writer has, without sections, by id."""
        with self._turn:
            found: dict[str, Document] = {}
            for writer, positions in self._routed(ids):
                found.update(writer.stored([ids[position] for position in positions]))
            return {each: found[each] for each in ids if each in found}

    def passages(self, document_id: str) -> list[Passage]:
        """Return the passages of a document that `stored` returned."""
        [(writer, _)] = self._routed([document_id])
        return writer.passages(document_id)

    def typed(self, documents: Sequence[Document]) -> list[Document]:
        """Return documents with typed metadata.  Raises BadDocument and SchemaError."""
        with self._turn:
            self._check(documents)
            return self._writers[0].typed(documents)

    def update_metadata(self, documents: Sequence[Document]) -> None:
        """Give documents that `stored` returned new metadata; the ids are distinct."""
        with self._turn:
            self._check(documents)
            for writer, positions in self._routed([document.id for document in documents]):
                writer.update_metadata([documents[position] for position in positions])

    def delete(self, ids: Sequence[str]) -> int:
        """Delete documents by id; return the number of them that existed."""
        return self.delete_digests(id_digests(list(dict.fromkeys(ids))))

    def delete_digests(self, ids: Digests) -> int:
        """Delete documents by the digests of their ids; return how many existed."""
        shards = self._shards(ids)
        return sum(self._writers[each].delete_digests(ids[shards == each]) for each in np.unique(shards).tolist())

    def delete_expired(self) -> int:
        """Delete the documents whose time has come; return their number."""
        return sum(writer.delete_expired() for writer in self._writers)

    def delete_unseen(self) -> int:
        """Delete older documents that the writer was not given; return their number."""
        return sum(writer.delete_unseen() for writer in self._writers)

    def unseen(self) -> Iterator[list[Document]]:
        """Yield the older documents that the writer was not given, in batches."""
        for writer in self._writers:
            yield from writer.unseen()

    def commit(self, encoder: Encoder | None = None, sparse_encoder: SparseEncoder | None = None) -> int:
        """Make the pending generations of all shards current at once; return the number."""
        for writer in self._writers:
            writer.cause = self.cause
        prepared = self._hosts.each(lambda writer: writer.prepare(encoder, sparse_encoder), self._writers)
        if any(prepared):
            manifest = next_generation(self._pending(), self.cause)
            if encoder is not None:
                shards = read_shard_manifests(self.path, manifest)
                manifest = calibrated_shards(self.path, manifest, shards, encoder)
            publish_shards(self.path, manifest, self._files)
            self.generation = manifest.generation
            remove_old_generations(self.path, self._retention, self._files)
        self._hosts.each(lambda writer: writer.make_current(), self._writers)
        return self.generation

    def _pending(self) -> ShardedManifest:
        """Return the current manifest with the prepared generations of the shards."""
        names = self._names()
        shards = tuple(ShardRecord(name, each.generation) for name, each in zip(names, self._writers, strict=True))
        known = self._current
        if known is None:
            return ShardedManifest(0, datetime.now(UTC), "", self.settings, self.schema, shards, self._buckets)
        settings = replace(known.settings, sparse=self.settings.sparse, expires=self.settings.expires)
        return replace(known, settings=settings, schema=self.schema, shards=shards)


def _limits(create: CollectionSettings | None, current: ShardedManifest | None, shards: int) -> SegmentLimits:
    """Return the limits of each shard, which bound the memory of all together."""
    settings = current.settings if current else create
    whole = REMOTE_LIMITS if settings is not None and is_remote(settings.encoder.name) else SegmentLimits()
    return SegmentLimits(max(1, whole.passages // shards), max(1, whole.text_bytes // shards), whole.merged_passages)
