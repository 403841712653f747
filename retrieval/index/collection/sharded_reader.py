"""An open generation of a sharded collection, which is read as one collection.

All statistics of BM25, the ranges of scores, totals and facets count the documents of all shards, so that an answer is
that of one collection with the same documents.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from retrieval.errors import CorruptCollection, ShardedCollection, ShardUnavailable, StorageError
from retrieval.index.collection.index_reader import IndexReader, collection_name, open_index_reader
from retrieval.index.collection.joined_reader import join_lexical, join_sparse
from retrieval.index.storage.sharded_manifest import (
    ShardedManifest,
    joined_manifest,
    shard_path,
    with_current_shards,
)


class ShardedReader(IndexReader):
    """The open generations of the shards that one generation of the collection names."""

    def __init__(self, path: Path, manifest: ShardedManifest, shards: Sequence[IndexReader]) -> None:
        self.path = path
        self._generation = manifest
        self.name = collection_name(path)
        self.shards = tuple(shards)
        self.manifest = joined_manifest(manifest, [shard.manifest for shard in shards])
        self.segments = tuple(segment for shard in shards for segment in shard.segments)
        self._combine()
        self.lexical = join_lexical(shards, manifest.settings)
        self.sparse = join_sparse(shards, manifest.settings)

    def close(self) -> None:
        super().close()
        for shard in self.shards:
            shard.close()

    def shard_of(self, error: CorruptCollection | StorageError | ShardUnavailable) -> str | None:
        """Return the shard that an error is about; None for a file of no shard."""
        if isinstance(error, ShardUnavailable):
            return error.shard
        return next((each.path.name for each in self.shards if error.path.is_relative_to(each.path)), None)

    def without(self, names: Collection[str]) -> ShardedReader:
        """Return a view that reads nothing of some shards, nor counts their documents."""
        return ShardedReader(self.path, *self._kept(names))

    def _kept(self, names: Collection[str]) -> tuple[ShardedManifest, list[IndexReader]]:
        """Return the generation and its shards without some of them."""
        kept = tuple(record for record in self._generation.shards if record.name not in names)
        return replace(self._generation, shards=kept), [each for each in self.shards if each.path.name not in names]

    def check_sizes(self) -> None:
        """Check that no file of a shard has another size than when it was written."""
        for shard in self.shards:
            shard.check_sizes()


JoinShards = Callable[[Path, ShardedManifest, Sequence[IndexReader]], ShardedReader]


def open_reader(
    path: Path | str,
    generation: int | None = None,
    *,
    previous: IndexReader | None = None,
    join: JoinShards = ShardedReader,
) -> IndexReader:
    """Open a collection, sharded or not, as `open_index_reader` does.

    `join` makes the reader of open shards; by default, this process ranks their passages.
    """
    path = Path(path)
    try:
        return open_index_reader(path, generation, previous=previous)
    except ShardedCollection:
        return with_current_shards(path, lambda manifest: _opened(path, manifest, previous, join), generation)


def _opened(path: Path, manifest: ShardedManifest, previous: IndexReader | None, join: JoinShards) -> ShardedReader:
    earlier = {shard.path: shard for shard in previous.shards} if isinstance(previous, ShardedReader) else {}
    shards: list[IndexReader] = []
    try:
        for record in manifest.shards:
            folder = shard_path(path, record.name)
            shards.append(open_index_reader(folder, record.generation, previous=earlier.get(folder)))
        return join(path, manifest, shards)
    except BaseException:
        for shard in shards:
            shard.close()
        raise
