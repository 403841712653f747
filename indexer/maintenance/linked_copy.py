"""Make a scratch copy of a collection, for experiments.

The files of the current generation are hard links, not copies.
"""

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
from retrieval.index.storage.current_generation import with_current_manifest
from retrieval.index.storage.manifest import MANIFEST, Manifest, encode_manifest, generation_path
from retrieval.util.temporaries import temporary_folder


@contextmanager
def linked_copy(collection: Path) -> Iterator[Path]:
    """Yield a copy with the same name in a temporary folder.

    The block may change the copy; it is removed afterwards.  Writers may change the collection meanwhile.  Raises
    NotACollection, CorruptCollection.
    """
    name = collection.resolve().name
    with temporary_folder(_scratch_parent(collection) / name) as scratch:
        copy = scratch / name
        _copy_current(collection, copy)
        yield copy


def _scratch_parent(collection: Path) -> Path:
    """Return the parent folder of the collection, or the system's if it is read-only."""
    parent = collection.resolve().parent
    return parent if os.access(parent, os.W_OK) else Path(tempfile.gettempdir())


def _copy_current(collection: Path, copy: Path) -> None:
    manifest = with_current_manifest(collection, partial(_link_files, collection, copy))
    data = encode_manifest(manifest)
    for path in (generation_path(copy, manifest.generation), copy / MANIFEST):
        path.write_bytes(data)


def _link_files(collection: Path, copy: Path, manifest: Manifest) -> Manifest:
    """Link the missing files; return `manifest`.  Raises CorruptCollection."""
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
    # Files of a collection never change: a link serves as a copy, and an existing target has the same content.
    if target.exists():
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
