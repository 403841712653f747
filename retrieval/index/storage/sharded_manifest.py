"""The manifest of a sharded collection: its shards, and what they share.

A sharded collection is a directory whose `shards/` holds ordinary collections.  Its `manifest.json` names a generation
of each.  Readers open these generations, whatever the manifests of the shards say, so that replacing one file commits
the changes of all shards at once.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import CorruptCollection, InputError, NotACollection, ShardedCollection
from retrieval.index.storage.checksums import REPAIR
from retrieval.index.storage.current_generation import with_current
from retrieval.index.storage.manifest import (
    MANIFEST,
    CosineBackground,
    Manifest,
    PostingsRecord,
    generation_path,
    kept_generations,
    read_manifest,
    seal,
    unseal,
)
from retrieval.index.storage.settings import CollectionSettings, JsonValue, settings_from_json, settings_to_json
from retrieval.types import EncoderFingerprint, FieldType, Rows, Schema

T = TypeVar("T")

SHARDS = "shards"
SHARDED_FORMAT = 2  # versions of Attendex that know format 1 alone ask for an upgrade
BUCKETS = 1_024  # of hashes of document ids; a shard is made of whole buckets
MAX_SHARDS = 256


@dataclass(frozen=True, slots=True)
class ShardRecord:
    """A shard: its folder in `shards/`, and the generation that is searched."""

    name: str
    generation: int


@dataclass(frozen=True, slots=True)
class ShardedManifest:
    """The description of a generation of a sharded collection."""

    generation: int
    created: datetime
    cause: str
    settings: CollectionSettings
    schema: Schema
    shards: tuple[ShardRecord, ...]
    buckets: tuple[int, ...]  # (BUCKETS,): the position in `shards` of the shard with each bucket
    background: CosineBackground | None = None  # of the passages of all shards

    @property
    def encoder(self) -> EncoderFingerprint:
        return self.settings.encoder


def equal_buckets(shards: int) -> tuple[int, ...]:
    """Return a map that gives each shard as many buckets, one range each."""
    return tuple(bucket * shards // BUCKETS for bucket in range(BUCKETS))


def shard_of(id_digests: NDArray[np.uint64], buckets: Sequence[int]) -> Rows:
    """Return the position of the shard of each document, by digests of ids (n, 2)."""
    return np.asarray(buckets, np.int64)[(id_digests[:, 0] % np.uint64(BUCKETS)).astype(np.int64)]


def shard_path(collection: Path, name: str) -> Path:
    """Return the directory of a shard."""
    return collection / SHARDS / name


def shard_paths(collection: Path, manifest: ShardedManifest) -> list[Path]:
    """Return the directories of all shards."""
    return [shard_path(collection, each.name) for each in manifest.shards]


def encode_sharded_manifest(manifest: ShardedManifest) -> bytes:
    """Return a manifest as the bytes of its file."""
    body: dict[str, JsonValue] = {
        "format": SHARDED_FORMAT,
        "generation": manifest.generation,
        "created": manifest.created.isoformat(),
        "cause": manifest.cause,
        "settings": settings_to_json(manifest.settings),
        "schema": dict(manifest.schema),
        SHARDS: [asdict(shard) for shard in manifest.shards],
        "buckets": " ".join(map(str, manifest.buckets)),
        "background": asdict(manifest.background) if manifest.background else None,
    }
    return seal(body)


def read_sharded_manifest(collection: Path, generation: int | None = None) -> ShardedManifest:
    """Read the manifest of a sharded collection.

    Raises InputError for a collection without shards, NotACollection, CorruptCollection.
    """
    path = collection / MANIFEST if generation is None else generation_path(collection, generation)
    try:
        read_manifest(collection, generation)  # raises the error that names a fault of the file
    except ShardedCollection:
        return decode_sharded_manifest(path.read_bytes(), path)
    raise InputError(f"{collection}: is a collection without shards; name a sharded one")


def decode_sharded_manifest(data: bytes, path: Path) -> ShardedManifest:
    """Decode a manifest.  Raises CorruptCollection, and NotACollection by its format."""
    body = unseal(data, path)
    number = body.get("format")
    if number != SHARDED_FORMAT:
        is_newer = type(number) is int and number > SHARDED_FORMAT
        advice = "upgrade Attendex" if is_newer else "no version of Attendex wrote it; restore a backup"
        raise NotACollection(f"{path}: format {number!r} of a sharded collection is not {SHARDED_FORMAT}; {advice}")
    try:
        if len(body[SHARDS]) > MAX_SHARDS:
            raise ValueError(f"{len(body[SHARDS])} shards")
        return ShardedManifest(
            generation=int(body["generation"]),
            created=datetime.fromisoformat(body["created"]),
            cause=body["cause"],
            settings=settings_from_json(body["settings"]),
            schema={name: FieldType(kind) for name, kind in body["schema"].items()},
            shards=_checked_shards(body[SHARDS]),
            buckets=_checked_buckets(body["buckets"], len(body[SHARDS])),
            background=CosineBackground(**body["background"]) if body["background"] else None,
        )
    except InputError as error:
        raise CorruptCollection(f"has settings that this Attendex cannot use: {error}", path=path) from error
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise CorruptCollection(f"not a manifest ({error!r}); {REPAIR}", path=path) from error


def _checked_shards(body: JsonValue) -> tuple[ShardRecord, ...]:
    shards = tuple(_shard(each) for each in body)
    if not 0 < len({shard.name for shard in shards}) == len(shards) <= MAX_SHARDS:
        raise ValueError(f"{len(shards)} shards")
    return shards


def _shard(body: JsonValue) -> ShardRecord:
    if not body["name"].isalnum():
        raise ValueError(f"{body['name']!r} is not the name of a shard")
    return ShardRecord(body["name"], int(body["generation"]))


def _checked_buckets(text: str, shards: int) -> tuple[int, ...]:
    buckets = tuple(map(int, text.split()))
    if len(buckets) != BUCKETS or not all(0 <= shard < shards for shard in buckets):
        raise ValueError(f"{len(buckets)} buckets of {shards} shards")
    return buckets


def is_sharded(collection: Path) -> bool:
    """Check whether a directory is a sharded collection.  Raises CorruptCollection."""
    try:
        read_manifest(collection)
    except ShardedCollection:
        return True
    except NotACollection:
        return False
    return False


def with_current_shards(collection: Path, action: Callable[[ShardedManifest], T], generation: int | None = None) -> T:
    """Return `action` of the current generation, or of a kept one."""
    read = partial(read_sharded_manifest, collection)
    return with_current(read, action, generation, (CorruptCollection, NotACollection))


def named_generations(shard: Path) -> frozenset[int]:
    """Return the generations of a shard that kept generations of its collection name.

    Empty for a collection that is no shard.  Raises CorruptCollection.
    """
    collection = shard.parent.parent
    if shard.parent.name != SHARDS or not (collection / MANIFEST).exists():
        return frozenset()
    kept = [read_sharded_manifest(collection, number) for number in kept_generations(collection)]
    records = [record for manifest in (*kept, read_sharded_manifest(collection)) for record in manifest.shards]
    return frozenset(record.generation for record in records if record.name == shard.name)


def read_whole_manifest(collection: Path, generation: int | None = None) -> Manifest:
    """Read a manifest; for a sharded collection, one with the segments of all shards.

    It tells the settings, the schema and the sizes, and is never written.  Raises NotACollection, CorruptCollection.
    """
    try:
        return read_manifest(collection, generation)
    except ShardedCollection:
        return with_current_shards(
            collection,
            lambda manifest: joined_manifest(manifest, read_shard_manifests(collection, manifest)),
            generation,
        )


def read_shard_manifests(collection: Path, manifest: ShardedManifest) -> list[Manifest]:
    """Read the manifests of the shards that a generation names."""
    return [read_manifest(shard_path(collection, each.name), each.generation) for each in manifest.shards]


def joined_manifest(manifest: ShardedManifest, shards: Sequence[Manifest]) -> Manifest:
    """Return a manifest with the segments of all shards, each named after its shard."""
    named = list(zip(manifest.shards, shards, strict=True))
    return Manifest(
        generation=manifest.generation,
        created=manifest.created,
        cause=manifest.cause,
        settings=manifest.settings,
        schema=manifest.schema,
        segments=tuple(
            replace(each, name=f"{shard.name}/{each.name}") for shard, one in named for each in one.segments
        ),
        lexical=_joined_postings([(shard.name, one.lexical) for shard, one in named]),
        next_key=max(each.next_key for each in shards),
        unreadable_share=joined_unreadable_share(shards),
        background=manifest.background,
        sparse=_joined_postings([(shard.name, one.sparse) for shard, one in named]),
    )


def joined_unreadable_share(manifests: Sequence[Manifest]) -> float | None:
    """Return the unreadable share of all texts; None if it is unknown."""
    counted = [each for each in manifests if each.passages]
    shares = [each.unreadable_share for each in counted]
    known = [share for share in shares if share is not None]
    if not known or len(known) < len(shares):
        return None
    return float(np.average(known, weights=[each.passages for each in counted]))


def _joined_postings(indexes: Sequence[tuple[str, PostingsRecord | None]]) -> PostingsRecord | None:
    files = [replace(file, name=f"{name}/{file.name}") for name, one in indexes if one for file in one.files]
    return PostingsRecord(SHARDS, tuple(files)) if any(one for _, one in indexes) else None
