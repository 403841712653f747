"""The commit itself: what a manifest names is made durable, then the manifest, and then it becomes the current one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from retrieval.index.collection.segment import npy_bytes
from retrieval.index.storage.checksums import record_file
from retrieval.index.storage.manifest import (
    DELETIONS,
    LEXICAL,
    MANIFEST,
    SEGMENTS,
    DeletionsRecord,
    Manifest,
    SegmentRecord,
    encode_manifest,
    generation_path,
)
from retrieval.types import Bitmap, Rows
from retrieval.util.files import Files, replace_atomically, write_file


def publish(collection: Path, manifest: Manifest, files: Files) -> None:
    """Make `manifest` the current generation.  The files that it names are whole and fsynced already."""
    for folder in (SEGMENTS, DELETIONS, LEXICAL):
        files.sync_directory(collection / folder)
    data = encode_manifest(manifest)
    replace_atomically(generation_path(collection, manifest.generation), data, files)
    replace_atomically(collection / MANIFEST, data, files)


def write_deletions(
    collection: Path, generation: int, segment: SegmentRecord, live: Bitmap, document_of: Rows, files: Files
) -> DeletionsRecord | None:
    """Write which documents of a segment are dead; None when all are alive."""
    dead = int(np.count_nonzero(~live))
    if not dead:
        return None
    folder, name = collection / DELETIONS, f"{generation:06d}-{segment.name}.npy"
    write_file(files, folder / name, npy_bytes(np.packbits(~live, bitorder="little")))
    return DeletionsRecord(record_file(folder, name), dead, int(np.count_nonzero(~live[document_of])))
