"""Keep originals of files as long as a kept generation has their documents."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from retrieval.errors import CollectionError
from retrieval.index.collection.document_ids import id_digests
from retrieval.index.collection.index_reader import IndexReader, open_index_reader
from retrieval.index.collection.originals import (
    ORIGINALS_TABLE,
    Original,
    Originals,
    change_originals,
    read_originals,
)
from retrieval.index.storage.manifest import kept_generations
from retrieval.util.files import Files


def keep_originals(
    collection: Path, new: Sequence[tuple[Original, Path]], max_bytes: int, files: Files | None = None
) -> list[Original]:
    """Store originals; return those that did not fit into `max_bytes`.

    They replace those of the same names.
    """
    refused: list[Original] = []
    stored: list[tuple[Path, str]] = []

    def change(known: Originals) -> Originals:
        names = {original.name for original, _ in new}
        table = [each for each in known if each.name not in names]
        sizes = {each.sha256: each.size_bytes for each in table}
        for original, path in new:
            if sum(sizes.values()) + (original.size_bytes if original.sha256 not in sizes else 0) > max_bytes:
                refused.append(original)
                continue
            sizes[original.sha256] = original.size_bytes
            table.append(original)
            stored.append((path, original.sha256))
        return tuple(table)

    change_originals(collection, change, stored, files)
    return refused


def collect_originals(collection: Path, files: Files | None = None) -> None:
    """Remove the originals whose documents no kept generation has."""
    if not (collection / ORIGINALS_TABLE).exists():
        return
    known = read_originals(collection)
    living = _living([id_ for original in known for id_ in original.documents], collection)

    def change(originals: Originals) -> Originals:
        kept = (replace(each, documents=tuple(filter(living.__contains__, each.documents))) for each in originals)
        return tuple(
            each for each, before in zip(kept, originals, strict=True) if each.documents or before not in known
        )

    if len(living) < sum(len(original.documents) for original in known):
        change_originals(collection, change, files=files)


def _living(ids: Sequence[str], collection: Path) -> set[str]:
    """Return the ids that a kept generation has; all, if one cannot be read."""
    digests, alive = id_digests(ids), np.zeros(len(ids), dtype=bool)
    reader: IndexReader | None = None
    try:
        with ExitStack() as stack:
            for number in kept_generations(collection):
                reader = stack.enter_context(open_index_reader(collection, number, previous=reader))
                for segment in filter(lambda each: len(each.live_documents), reader.segments):
                    rows = segment.find(digests)
                    alive |= (rows >= 0) & segment.live_documents[rows]
    except CollectionError:
        return set(ids)
    return {id_ for id_, is_alive in zip(ids, alive.tolist(), strict=True) if is_alive}
