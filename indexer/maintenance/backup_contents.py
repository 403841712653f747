"""The manifests and files of one generation, as a backup stores them.

The collection is sharded or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from indexer.writing.garbage import FOLDERS
from retrieval.errors import CorruptCollection, ShardedCollection
from retrieval.index.storage.checksums import FileRecord
from retrieval.index.storage.current_generation import with_current_manifest
from retrieval.index.storage.manifest import (
    GENERATIONS,
    MANIFEST,
    Manifest,
    decode_manifest,
    encode_manifest,
)
from retrieval.index.storage.sharded_manifest import (
    ShardedManifest,
    ShardRecord,
    decode_sharded_manifest,
    encode_sharded_manifest,
    read_shard_manifests,
    shard_path,
    with_current_shards,
)


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest as bytes; `folder` is that of its collection, relative to the backup."""

    folder: Path
    generation: int
    data: bytes
    records: dict[Path, FileRecord]  # of the files that it names, by path relative to the backup
    documents: int = 0
    subfolders: tuple[str, ...] = FOLDERS  # of `folder`

    @property
    def path(self) -> Path:
        return self.folder / MANIFEST


@dataclass(frozen=True, slots=True)
class BackupContents:
    """One generation: `manifests` begin with that of the whole collection."""

    created: datetime
    manifests: tuple[StoredManifest, ...]

    @property
    def generation(self) -> int:
        return self.manifests[0].generation

    @property
    def documents(self) -> int:
        return sum(each.documents for each in self.manifests)

    @property
    def records(self) -> dict[Path, FileRecord]:
        """The records of all files, by path relative to the backup."""
        return {path: record for each in self.manifests for path, record in each.records.items()}

    @property
    def size_bytes(self) -> int:
        return sum(record.size_bytes for record in self.records.values())


def with_contents(collection: Path, action: Callable[[BackupContents], None], generation: int | None) -> BackupContents:
    """Return the contents of a generation after `action`.

    `action` runs again if it raises because a writer removed the files meanwhile.
    """

    def of_shards(manifest: ShardedManifest) -> BackupContents:
        contents = _sharded(manifest, read_shard_manifests(collection, manifest))
        action(contents)
        return contents

    def of_one(manifest: Manifest) -> BackupContents:
        contents = BackupContents(manifest.created, (_stored(Path(), manifest),))
        action(contents)
        return contents

    try:
        return with_current_manifest(collection, of_one, generation)
    except ShardedCollection:
        return with_current_shards(collection, of_shards, generation)


def read_contents(archive: Path, members: Iterator[tuple[str, bytes]]) -> BackupContents:
    """Decode the manifests at the start of a backup.  Raises CorruptCollection."""
    data = _next_manifest(archive, members, Path(MANIFEST))
    try:
        manifest = decode_manifest(data, archive)
    except ShardedCollection:
        sharded = decode_sharded_manifest(data, archive)
    else:
        return BackupContents(manifest.created, (_stored(Path(), manifest),))
    return _sharded(sharded, [_shard_manifest(archive, members, record) for record in sharded.shards])


def _shard_manifest(archive: Path, members: Iterator[tuple[str, bytes]], record: ShardRecord) -> Manifest:
    data = _next_manifest(archive, members, shard_path(Path(), record.name) / MANIFEST)
    try:
        manifest = decode_manifest(data, archive)
    except ShardedCollection:
        manifest = None
    if manifest is None or manifest.generation != record.generation:
        raise CorruptCollection(f"has another generation of shard {record.name} than its manifest", path=archive)
    return manifest


def _next_manifest(archive: Path, members: Iterator[tuple[str, bytes]], path: Path) -> bytes:
    name, data = next(members, ("", b""))
    if name != path.as_posix():
        raise CorruptCollection(f"is not a backup: it lacks {path} at its start", path=archive)
    return data


def _sharded(manifest: ShardedManifest, shards: list[Manifest]) -> BackupContents:
    data = encode_sharded_manifest(manifest)
    whole = StoredManifest(Path(), manifest.generation, data, {}, subfolders=(GENERATIONS,))
    named = zip(manifest.shards, shards, strict=True)
    parts = (_stored(shard_path(Path(), record.name), shard) for record, shard in named)
    return BackupContents(manifest.created, (whole, *parts))


def _stored(folder: Path, manifest: Manifest) -> StoredManifest:
    records = {folder / path: record for path, record in manifest.paths().items()}
    return StoredManifest(folder, manifest.generation, encode_manifest(manifest), records, manifest.documents)
