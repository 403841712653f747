"""Work on the current generation of a collection while writers go on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from retrieval.errors import AttendexError, CorruptCollection
from retrieval.index.storage.manifest import Manifest, read_manifest

T = TypeVar("T")


class HasGeneration(Protocol):
    """A manifest of one collection, or of shards."""

    @property
    def generation(self) -> int: ...


M = TypeVar("M", bound=HasGeneration)


def with_current(
    read: Callable[[int | None], M],
    action: Callable[[M], T],
    generation: int | None,
    retried: tuple[type[AttendexError], ...],
) -> T:
    """Return `action` of the current manifest, or of a kept one, as `read` gives it.

    A writer may remove the files of a generation after its manifest is read.  If `action` raises one of `retried` and
    the collection has moved on to another generation, `action` runs again on that one.
    """
    manifest = read(generation)
    while True:
        try:
            return action(manifest)
        except retried:
            current = manifest if generation is not None else read(None)
            if current.generation == manifest.generation:
                raise
            manifest = current


def with_current_manifest(collection: Path, action: Callable[[Manifest], T], generation: int | None = None) -> T:
    """Return `action` of the current manifest, or of a kept one."""
    return with_current(partial(read_manifest, collection), action, generation, (CorruptCollection,))
