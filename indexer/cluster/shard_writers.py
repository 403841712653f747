"""The writers of shards as processes of a cluster, each with the shard's lock.

All machines must see the collection under the same path.  Ray ends these processes with the process that builds; the
kernel then releases their locks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from indexer.cluster.messages import decode, encode
from indexer.writing.pending_generation import WriterCounts
from indexer.writing.shard_hosts import ShardOptions, ShardWriter
from indexer.writing.writer import Writer
from retrieval.encoder.sparse import SparseEncoder
from retrieval.errors import AttendexError, ClusterError
from retrieval.index.collection.document_ids import Digests
from retrieval.index.storage.settings import CollectionSettings
from retrieval.index.vectors.token_codes import TokenCodes
from retrieval.protocols import Encoder
from retrieval.types import Document, Passage, Schema, Vectors

T = TypeVar("T")
U = TypeVar("U")

LOCK_WAIT_S = 60.0  # at least: the processes of a killed build end a little after it
METHODS = frozenset(
    "open close state resume declare_fields unchanged can_add add stored passages typed update_metadata delete "  # noqa: SIM905
    "delete_digests delete_expired delete_unseen unseen prepare make_current".split()
)


class WriterProcess:
    """A writer of one shard, which other processes call by messages."""

    def __init__(self) -> None:
        self._writer: Writer | None = None
        self._batches: Iterator[list[Document]] = iter(())

    def call(self, message: bytes) -> bytes:
        """Call a method; return a pair of its error, or None, and its result."""
        try:
            method, arguments = decode(message)
            if method not in METHODS:
                raise AttributeError(f"no method {method!r}")
            own = getattr(self, f"_{method}", None)
            return encode([None, own(*arguments) if own else getattr(self._writer, method)(*arguments)])
        except AttendexError as error:
            return encode([error, None])

    def _open(self, path: Path, options: list[Any]) -> list[Any]:
        create, cause, wait_s, retention, limits = options
        writer = Writer(path, create=create, cause=cause, wait_s=wait_s, retention=retention, limits=limits)
        self._writer = writer.__enter__()
        return self._state()

    def _close(self, failed: AttendexError | None) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.__exit__(type(failed) if failed else None, failed, None)

    def _state(self) -> list[Any]:
        assert self._writer is not None
        return [self._writer.settings, self._writer.generation, dict(self._writer.schema), self._writer.counts]

    def _resume(self) -> list[Any]:
        assert self._writer is not None
        self._writer.resume()
        return self._state()

    def _unseen(self, first: bool) -> list[Document]:
        """Return the next batch; an empty one comes last."""
        assert self._writer is not None
        if first:
            self._batches = self._writer.unseen()
        return next(self._batches, [])

    def _prepare(self, cause: str) -> list[Any]:
        assert self._writer is not None
        self._writer.cause = cause
        return [self._writer.prepare(None, None) is not None, *self._state()]


class RemoteShardWriter:
    """A `ShardWriter` whose `Writer` is a process of a cluster.

    `add` returns while the process still writes; its error comes with the next call.
    """

    settings: CollectionSettings

    def __init__(self, ray: Any, path: Path, options: ShardOptions) -> None:
        self.path = path
        self.cause = options.cause
        self.generation = 0
        self.schema: Schema = {}
        self._counts = WriterCounts()
        self._options = options
        self._ray = ray
        self._process = ray.remote(WriterProcess).options(num_cpus=0, scheduling_strategy="SPREAD").remote()
        self._adding: Any = None
        self._resumed = False

    def __enter__(self) -> RemoteShardWriter:
        options = self._options
        wait_s = max(LOCK_WAIT_S, options.wait_s)
        given = [options.create, options.cause, wait_s, options.retention, options.limits]
        self._keep(self._call("open", self.path.absolute(), given))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        failed = None if error is None else error if isinstance(error, AttendexError) else AttendexError(str(error))
        try:
            self._call("close", failed)
        except AttendexError:
            if error is None:
                raise
        finally:
            self._ray.kill(self._process)

    @property
    def counts(self) -> WriterCounts:
        self._keep(self._call("state"))
        return self._counts

    def _keep(self, state: Sequence[Any]) -> None:
        self.settings, self.generation, self.schema, self._counts = state

    def _call(self, method: str, *arguments: Any) -> Any:
        """Return the result of a method.  Raises its error, and ClusterError."""
        answer = self._process.call.remote(encode([method, arguments]))
        self._finish_add()
        return self._result(answer)

    def _result(self, answer: Any) -> Any:
        try:
            error, result = decode(self._ray.get(answer))
        except self._ray.exceptions.RayError as problem:
            raise ClusterError(
                f"{self.path}: the process that writes this shard ended; index the same sources again: finished "
                "segments are kept"
            ) from problem
        if error is not None:
            raise error
        return result

    def _finish_add(self) -> None:
        adding, self._adding = self._adding, None
        if adding is not None:
            self._result(adding)

    def resume(self) -> None:
        if not self._resumed:
            self._resumed = True
            self._keep(self._call("resume"))

    def declare_fields(self, types: Schema) -> None:
        self._call("declare_fields", dict(types))
        self.schema = {**self.schema, **types}

    def unchanged(self, documents: Sequence[Document]) -> list[bool]:
        return [bool(each) for each in self._call("unchanged", list(documents))]

    def can_add(self, documents: Sequence[Document]) -> list[bool]:
        return [bool(each) for each in self._call("can_add", list(documents))]

    def add(
        self,
        documents: Sequence[Document],
        passages: Sequence[Sequence[Passage]],
        vectors: Vectors,
        unreadable: NDArray[np.float32] | None = None,
        tokens: TokenCodes | None = None,
    ) -> None:
        self._finish_add()
        given = [list(documents), [list(each) for each in passages], vectors, unreadable, tokens]
        self._adding = self._process.call.remote(encode(["add", given]))

    def stored(self, ids: Sequence[str]) -> dict[str, Document]:
        found: dict[str, Document] = self._call("stored", list(ids))
        return found

    def passages(self, document_id: str) -> list[Passage]:
        return list(self._call("passages", document_id))

    def typed(self, documents: Sequence[Document]) -> list[Document]:
        return list(self._call("typed", list(documents)))

    def update_metadata(self, documents: Sequence[Document]) -> None:
        self._call("update_metadata", list(documents))

    def delete(self, ids: Sequence[str]) -> int:
        return int(self._call("delete", list(ids)))

    def delete_digests(self, ids: Digests) -> int:
        return int(self._call("delete_digests", ids))

    def delete_expired(self) -> int:
        return int(self._call("delete_expired"))

    def delete_unseen(self) -> int:
        return int(self._call("delete_unseen"))

    def unseen(self) -> Iterator[list[Document]]:
        first = True
        while batch := self._call("unseen", first):
            first = False
            yield batch

    def prepare(self, encoder: Encoder | None, sparse_encoder: SparseEncoder | None) -> object | None:  # noqa: ARG002
        """Write the pending generation; the process loads the encoders that it needs."""
        changed, *state = self._call("prepare", self.cause)
        self._keep(state)
        return changed or None

    def make_current(self) -> None:
        self._call("make_current")

    def commit(self, encoder: Encoder | None = None, sparse_encoder: SparseEncoder | None = None) -> int:
        """Make the pending generation current."""
        self.prepare(encoder, sparse_encoder)
        self.make_current()
        return self.generation


class ClusterHosts:
    """Runs the writers on the machines of a cluster, all at the same time."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray

    def writer(self, path: Path, options: ShardOptions) -> ShardWriter:
        return RemoteShardWriter(self._ray, path, options)

    def each(self, call: Callable[[T], U], items: Iterable[T]) -> list[U]:
        wanted = list(items)
        if len(wanted) < 2:
            return [call(item) for item in wanted]
        with ThreadPoolExecutor(len(wanted)) as pool:
            return list(pool.map(call, wanted))
