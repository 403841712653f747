"""Refuse a search if a shard fails, or answer it from the other shards."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from retrieval.errors import CorruptCollection, ShardUnavailable, StorageError
from retrieval.index.collection.sharded_reader import ShardedReader
from retrieval.results import FailedShard, SearchResult, ShardCounts
from retrieval.types import Partial

log = logging.getLogger(__name__)


def answer_of_shards(
    reader: ShardedReader, partial: Partial | None, answer: Callable[[ShardedReader], SearchResult]
) -> SearchResult:
    """Return the answer of all shards.

    If `partial` allows it, failed shards are left out.  `answer` searches a view of the reader.  Raises
    ShardUnavailable if a shard fails that must not be left out.
    """
    total = len(reader.shards)
    failed: dict[str, FailedShard] = {}
    while True:
        view = reader.without(failed) if failed else reader
        try:
            result = answer(view)
        except (CorruptCollection, StorageError, ShardUnavailable) as error:
            shard = reader.shard_of(error)
            if shard is None or shard in failed:
                raise
            log.warning("shard %s of %s fails: %s", shard, reader.name, error)
            failed[shard] = FailedShard(shard, _reason(error))
            if partial is not Partial.ALLOW or len(failed) == total:
                raise _unavailable(reader.name, failed[shard]) from error
        else:
            return replace(result, shards=ShardCounts(total, total - len(failed), tuple(failed.values())))


def _reason(error: CorruptCollection | StorageError | ShardUnavailable) -> str:
    """Return the cause without a path: clients see it."""
    if isinstance(error, ShardUnavailable):
        return str(error)
    return "its files are damaged" if isinstance(error, CorruptCollection) else "its files cannot be read"


def _unavailable(collection: str, failed: FailedShard) -> ShardUnavailable:
    return ShardUnavailable(
        f"shard {failed.shard} of {collection} cannot answer: {failed.reason}; try again, or check it with "
        "`attendex verify`, or give `partial` `allow` to search the other shards",
        shard=failed.shard,
    )
