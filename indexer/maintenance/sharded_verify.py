"""Verify a collection, sharded or not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from indexer.maintenance.verify import Check, Verification, verify
from retrieval.errors import AttendexError, CorruptCollection
from retrieval.index.collection.sharded_reader import ShardedReader, open_reader
from retrieval.index.storage.sharded_manifest import (
    ShardedManifest,
    is_sharded,
    read_sharded_manifest,
    shard_of,
    shard_path,
)
from retrieval.protocols import Encoder


def verify_collection(
    collection: Path, *, encoder: Encoder | None = None, sample: int = 200, seed: int = 0
) -> Verification:
    """Check a collection, sharded or not, as `verify` does.

    Of a sharded one, all shards and the places of documents are checked.  Raises NotACollection.
    """
    try:
        manifest = read_sharded_manifest(collection) if is_sharded(collection) else None
    except CorruptCollection as error:
        if not (collection / "shards").is_dir():
            return verify(collection, encoder=encoder, sample=sample, seed=seed)
        return Verification(str(collection), 0, (Check("manifests", 1, (str(error),)),), ())
    if manifest is None:
        return verify(collection, encoder=encoder, sample=sample, seed=seed)
    return _verify_shards(collection, manifest, encoder, sample, seed)


def _verify_shards(
    collection: Path, manifest: ShardedManifest, encoder: Encoder | None, sample: int, seed: int
) -> Verification:
    checks: list[Check] = []
    orphans: list[str] = []
    for record in manifest.shards:
        found = verify(shard_path(collection, record.name), encoder=encoder, sample=sample, seed=seed)
        checks += [replace(check, name=f"shard {record.name}: {check.name}") for check in found.checks]
        orphans += [f"shards/{record.name}/{orphan}" for orphan in found.orphans]
    try:
        with open_reader(collection) as reader:
            assert isinstance(reader, ShardedReader)
            problems = tuple(_misplaced(reader, manifest))
            places = Check("places of documents", int(np.count_nonzero(reader.live_documents)), problems)
    except AttendexError as error:
        places = Check("places of documents", 0, (str(error),))
    return Verification(str(collection), manifest.generation, (*checks, places), tuple(orphans))


def _misplaced(reader: ShardedReader, manifest: ShardedManifest) -> Iterator[str]:
    """Describe the documents that are in another shard than that of their bucket."""
    for number, (record, shard) in enumerate(zip(manifest.shards, reader.shards, strict=True)):
        for segment in shard.segments:
            rows = np.flatnonzero(segment.live_documents)
            wrong = rows[shard_of(segment.ids_by_row()[rows], manifest.buckets) != number]
            yield from (f"document {id_!r} is in shard {record.name}" for id_ in segment.ids(wrong))
