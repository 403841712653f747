"""A collection beside the collection, to try something on: its files are linked, not copied."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from indexer.collect import LOCK, MERGE_LOCK
from indexer.journal import JOURNAL


@contextmanager
def linked_copy(collection: Path) -> Iterator[Path]:
    """A copy with the same name, in a folder of its own; gone afterwards, whatever was done to it."""
    name = collection.resolve().name
    with tempfile.TemporaryDirectory(dir=_beside(collection), prefix=f".{name}-") as scratch:
        copy = Path(scratch) / name
        ignored = shutil.ignore_patterns(LOCK, MERGE_LOCK, JOURNAL, ".*")
        shutil.copytree(collection, copy, copy_function=_link, ignore=ignored)
        yield copy


def _beside(collection: Path) -> Path | None:
    """The folder that holds the collection, where it may be written to; else the system's own for such things."""
    parent = collection.resolve().parent
    return parent if os.access(parent, os.W_OK) else None


def _link(source: str, target: str) -> None:
    """Files of a collection never change, so that a link is a copy; manifests are replaced, not written over."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
