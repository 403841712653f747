"""Publish a generation of a collection to an object store.

The files come first and `manifest.json` last, so that followers see the old generation or the new one.  A run that is
interrupted leaves files under their digests, which the next run does not send again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from indexer.replicas.bucket import FILES, Bucket, StoredObject
from indexer.replicas.generation_files import GenerationFiles, list_generation
from retrieval.errors import AttendexError, CorruptCollection, InputError
from retrieval.index.storage.checksums import CheckedFile
from retrieval.index.storage.manifest import GENERATIONS, MANIFEST
from retrieval.index.storage.sharded_manifest import SHARDS, read_whole_manifest

KEPT_GENERATIONS = 3  # in the store, for followers that copy an older one at that moment
UNUSED_S = 3_600.0  # age from which files that no kept generation names are removed; younger ones may be of a running
# publication
OWN = (FILES, GENERATIONS, SHARDS)  # folders of a published collection; other objects stay


@dataclass(frozen=True, slots=True)
class PublishReport:
    """A published generation, and how much was sent for it."""

    generation: int
    documents: int
    files: int
    size_bytes: int
    sent_files: int
    sent_bytes: int
    removed_objects: int


def publish(collection: Path, bucket: Bucket, *, replace: bool = False, unused_s: float = UNUSED_S) -> PublishReport:
    """Publish the current generation of a collection under its name.

    Every byte that is sent is checked first.  Raises InputError if the store has a later generation, or another one of
    the same number, unless `replace` is given; SourceUnavailable, CorruptCollection.
    """
    name = collection.resolve().name
    opened, files = _open_files(collection)
    is_new = _check_published(bucket, name, opened, replace=replace)
    objects = bucket.list(name)
    sent = _send_files(bucket, name, objects, files)
    if is_new:
        for path, data in opened.manifests.items():
            bucket.write(name, path, data)
        bucket.write(name, Path(MANIFEST), opened.manifest)
    unused = _unused(bucket, name, opened, objects, datetime.now(UTC) - timedelta(seconds=unused_s))
    bucket.delete(name, unused)
    return PublishReport(
        generation=opened.generation,
        documents=opened.documents,
        files=len(opened.files),
        size_bytes=opened.size_bytes,
        sent_files=len(sent),
        sent_bytes=sum(file.record.size_bytes for file in sent),
        removed_objects=len(unused),
    )


def _open_files(collection: Path) -> tuple[GenerationFiles, dict[str, CheckedFile]]:
    """Open all files of the current generation: a writer may remove their names."""
    while True:
        number = read_whole_manifest(collection).generation
        try:
            data = (collection / MANIFEST).read_bytes()
            listed = list_generation(data, lambda path: (collection / path).read_bytes())
            files = {each.sha256: CheckedFile((collection / path).parent, each) for path, each in listed.files.items()}
        except (CorruptCollection, FileNotFoundError):
            if read_whole_manifest(collection).generation == number:
                raise
        else:
            return listed, files


def _check_published(bucket: Bucket, name: str, opened: GenerationFiles, *, replace: bool) -> bool:
    """Return whether the generation is not the published one.  Raises InputError."""
    if name not in bucket.versions():
        return True
    published = bucket.read(name, Path(MANIFEST))
    if published == opened.manifest:
        return False
    number = list_generation(published, lambda path: bucket.read(name, path)).generation
    if number >= opened.generation and not replace:
        raise InputError(
            f"{bucket.address}: has generation {number} of {name!r}, and this collection has {opened.generation}; "
            "publish to another address, or give --replace"
        )
    return True


def _send_files(
    bucket: Bucket, name: str, objects: list[StoredObject], files: Mapping[str, CheckedFile]
) -> list[CheckedFile]:
    """Send the files that the store lacks, and return them."""
    present = {each.path.name: each.size_bytes for each in objects if each.path.parts[0] == FILES}
    missing = [file for digest, file in files.items() if present.get(digest) != file.record.size_bytes]
    for file in missing:
        file.require()
        bucket.write(name, Path(FILES, file.record.sha256), file.bytes)
    return missing


def _unused(
    bucket: Bucket, name: str, current: GenerationFiles, objects: list[StoredObject], before: datetime
) -> list[Path]:
    """Return the objects that no kept generation names, the manifests first."""
    found = (re.fullmatch(rf"{GENERATIONS}/(\d{{6,}})\.json", each.path.as_posix()) for each in objects)
    older = sorted((int(each[1]) for each in found if each and int(each[1]) < current.generation), reverse=True)
    kept = [current, *(_published(bucket, name, number) for number in older[: KEPT_GENERATIONS - 1])]
    named = {Path(MANIFEST)}
    for each in filter(None, kept):
        named |= {*each.manifests, *(Path(FILES, record.sha256) for record in each.files.values())}
    unused = [each for each in objects if each.path.parts[0] in OWN and each.path not in named]
    manifests = [each.path for each in unused if each.path.parts[0] != FILES]
    return manifests + [each.path for each in unused if each.path.parts[0] == FILES and each.modified < before]


def _published(bucket: Bucket, name: str, number: int) -> GenerationFiles | None:
    """Read an older generation; None if it is damaged."""
    try:
        data = bucket.read(name, Path(GENERATIONS, f"{number:06d}.json"))
        return list_generation(data, lambda path: bucket.read(name, path))
    except AttendexError:
        return None
