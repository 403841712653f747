"""Re-embed a collection, sharded or not, without downtime.

All shards get re-embedded copies of their segments.  Then one commit makes these copies current in all of them.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from indexer.maintenance.reembed import AcceptGeneration, Reembedding, ReembedReport, check_other_encoder, reembed
from indexer.writing.commit import publish_kept
from indexer.writing.garbage import LOCK, REEMBED_LOCK, Retention
from indexer.writing.sharded_commit import (
    calibrated_shards,
    commit_shards,
    next_generation,
    settle_shards,
    shards_locked,
)
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.collection.sharded_reader import ShardedReader
from retrieval.index.storage.manifest import Manifest
from retrieval.index.storage.sharded_manifest import (
    ShardedManifest,
    ShardRecord,
    is_sharded,
    read_shard_manifests,
    read_sharded_manifest,
    shard_paths,
    with_current_shards,
)
from retrieval.search.encoder_check import check_unchanged
from retrieval.util.files import Files, locked


def reembed_all(
    collection: Path,
    encoder: SentenceEncoder,
    *,
    accept: AcceptGeneration | None = None,
    wait_s: float = 60.0,
    retention: Retention | None = None,
    files: Files | None = None,
) -> ReembedReport:
    """Encode all passages of a collection again with `encoder`, as `reembed` does."""
    retention, files = retention or Retention(), files or Files()
    if not is_sharded(collection):
        return reembed(collection, encoder, accept=accept, wait_s=wait_s, retention=retention, files=files)
    current = read_sharded_manifest(collection)
    check_other_encoder(collection, current.encoder, encoder)
    with locked(collection / REEMBED_LOCK, wait_s=1.0), shards_locked(collection, current, 1.0, REEMBED_LOCK):
        run = _ShardedReembedding(collection, encoder, current, files)
        made = with_current_shards(collection, run.reembedded)
        if accept is not None:
            with run.reader(*made) as reader:
                if not accept(reader):
                    return ReembedReport(False, current.generation, run.encoded)
        check_unchanged(collection.name, run.shards[0].canaries, encoder)
        return ReembedReport(True, run.commit(wait_s, retention), run.encoded)


class _ShardedReembedding:
    """The shards of a collection with the vectors of another encoder."""

    def __init__(self, collection: Path, encoder: SentenceEncoder, manifest: ShardedManifest, files: Files) -> None:
        self._collection = collection
        self._encoder = encoder
        self._files = files
        self.shards = [Reembedding(folder, encoder, files) for folder in shard_paths(collection, manifest)]
        for shard in self.shards:
            shard.write_marker()

    @property
    def encoded(self) -> int:
        return sum(shard.encoded for shard in self.shards)

    def reembedded(self, current: ShardedManifest) -> tuple[ShardedManifest, list[Manifest]]:
        """Return the manifests of the next generation; re-embed missing segments."""
        found = zip(self.shards, read_shard_manifests(self._collection, current), strict=True)
        shards = [shard.with_unreadable_share(shard.manifest(each)) for shard, each in found]
        named = zip(current.shards, shards, strict=True)
        records = tuple(ShardRecord(record.name, shard.generation) for record, shard in named)
        settings = self.shards[0].settings(current.settings)
        return replace(current, settings=settings, shards=records, background=None), shards

    def reader(self, manifest: ShardedManifest, shards: list[Manifest]) -> ShardedReader:
        """Open a generation that is not written yet."""
        manifest = calibrated_shards(self._collection, manifest, shards, self._encoder)
        folders = shard_paths(self._collection, manifest)
        readers = [IndexReader(folder, shard) for folder, shard in zip(folders, shards, strict=True)]
        return ShardedReader(self._collection, manifest, readers)

    def commit(self, wait_s: float, retention: Retention) -> int:
        """Commit once every current segment is re-embedded; return the generation."""
        while (generation := self._commit_if_complete(wait_s, retention)) is None:
            with_current_shards(self._collection, self.reembedded)  # without the lock: what a writer added meanwhile
        return generation

    def _commit_if_complete(self, wait_s: float, retention: Retention) -> int | None:
        with locked(self._collection / LOCK, wait_s=wait_s):
            current = read_sharded_manifest(self._collection)
            settle_shards(self._collection, current, [each.name for each in current.shards], self._files)
            with shards_locked(self._collection, current, wait_s):
                found = read_shard_manifests(self._collection, current)
                if not all(shard.has_all(each) for shard, each in zip(self.shards, found, strict=True)):
                    return None
                return self._commit(current, retention)

    def _commit(self, current: ShardedManifest, retention: Retention) -> int:
        cause = f"reembed with {self._encoder.fingerprint.name}"
        manifest, shards = self.reembedded(current)
        for folder, shard in zip(shard_paths(self._collection, manifest), shards, strict=True):
            publish_kept(folder, replace(shard, created=datetime.now(UTC), cause=cause), self._files)
        manifest = next_generation(calibrated_shards(self._collection, manifest, shards, self._encoder), cause)
        commit_shards(self._collection, manifest, retention, self._files)
        for each in self.shards:
            each.remove_marker()
        return manifest.generation
