"""The files of a generation, of a collection without shards or with them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from retrieval.errors import ShardedCollection
from retrieval.index.storage.checksums import FileRecord
from retrieval.index.storage.manifest import MANIFEST, decode_manifest, generation_path
from retrieval.index.storage.sharded_manifest import ShardRecord, decode_sharded_manifest, shard_path


@dataclass(frozen=True, slots=True)
class GenerationFiles:
    """A generation: its manifests and all other files, by paths in the collection."""

    generation: int
    manifest: bytes  # of `manifest.json`
    manifests: Mapping[Path, bytes]  # in `generations/`, of the collection and of its shards
    files: Mapping[Path, FileRecord]
    shards: tuple[ShardRecord, ...] = ()
    documents: int = 0
    size_bytes: int = field(init=False)  # of all files, without the manifests

    def __post_init__(self) -> None:
        object.__setattr__(self, "size_bytes", sum(record.size_bytes for record in self.files.values()))

    def collections(self) -> Iterator[Path]:
        """Yield the directories with segments: the shards, or the collection itself."""
        yield from (shard_path(Path(), shard.name) for shard in self.shards)
        if not self.shards:
            yield Path()

    def differs_from(self, other: GenerationFiles) -> bool:
        """Check whether a path names other bytes in the other generation.

        Writers never do that.  It happens when another collection takes the place of a dropped one.
        """
        if {shard.name for shard in self.shards} != {shard.name for shard in other.shards}:
            return True
        digests, others = self._digests(), other._digests()
        return any(others.get(path, digest) != digest for path, digest in digests.items())

    def _digests(self) -> dict[Path, str]:
        digests = {path: record.sha256 for path, record in self.files.items()}
        return digests | {path: hashlib.sha256(data).hexdigest() for path, data in self.manifests.items()}


def list_generation(data: bytes, read: Callable[[Path], bytes]) -> GenerationFiles:
    """Return the files of the generation that `data`, of a `manifest.json`, describes.

    `read` returns the manifests of shards, by their paths.  Raises CorruptCollection, NotACollection.
    """
    try:
        manifest = decode_manifest(data, Path(MANIFEST))
    except ShardedCollection:
        return _list_sharded(data, read)
    kept = {generation_path(Path(), manifest.generation): data}
    return GenerationFiles(manifest.generation, data, kept, manifest.paths(), documents=manifest.documents)


def _list_sharded(data: bytes, read: Callable[[Path], bytes]) -> GenerationFiles:
    sharded = decode_sharded_manifest(data, Path(MANIFEST))
    manifests = {generation_path(Path(), sharded.generation): data}
    files: dict[Path, FileRecord] = {}
    documents = 0
    for shard in sharded.shards:
        folder = shard_path(Path(), shard.name)
        path = generation_path(folder, shard.generation)
        manifests[path] = read(path)
        manifest = decode_manifest(manifests[path], path)
        files |= {folder / name: record for name, record in manifest.paths().items()}
        documents += manifest.documents
    return GenerationFiles(sharded.generation, data, manifests, files, sharded.shards, documents)
