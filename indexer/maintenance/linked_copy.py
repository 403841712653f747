"""A collection beside the collection, to try something on: the current generation's files are linked, not copied."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from indexer.writing.garbage import FOLDERS
from retrieval.errors import CorruptCollection
from retrieval.index.storage.checksums import REPAIR
from retrieval.index.storage.manifest import MANIFEST, Manifest, encode_manifest, generation_path, with_current_manifest


@contextmanager
def linked_copy(collection: Path) -> Iterator[Path]:
    """A copy with the same name, in a folder of its own; gone afterwards, whatever was done to it.

    Writers may go on meanwhile.  Raises NotACollection, CorruptCollection.
    """
    name = collection.resolve().name
    with tempfile.TemporaryDirectory(dir=_beside(collection), prefix=f".{name}-") as scratch:
        copy = Path(scratch) / name
        _copy_current(collection, copy)
        yield copy


def _beside(collection: Path) -> Path | None:
    """The folder that holds the collection, where it may be written to; else the system's own for such things."""
    parent = collection.resolve().parent
    return parent if os.access(parent, os.W_OK) else None


def _copy_current(collection: Path, copy: Path) -> None:
    """The current generation, or the one that follows where its files are removed meanwhile."""
    manifest = with_current_manifest(collection, partial(_link_files, collection, copy))
    data = encode_manifest(manifest)
    for path in (generation_path(copy, manifest.generation), copy / MANIFEST):
        path.write_bytes(data)


def _link_files(collection: Path, copy: Path, manifest: Manifest) -> Manifest:
    """Link the files that are not linked yet; return `manifest`.  Raises CorruptCollection if a file is missing."""
    for name in FOLDERS:
        (copy / name).mkdir(parents=True, exist_ok=True)
    for path in manifest.paths():
        (copy / path).parent.mkdir(exist_ok=True)
        try:
            _link(collection / path, copy / path)
        except FileNotFoundError as error:
            raise CorruptCollection(f"is missing; {REPAIR}", path=collection / path) from error
    return manifest


def _link(source: Path, target: Path) -> None:
    """Files of a collection never change, so that a link is a copy, and one that is there is the same."""
    if target.exists():
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
