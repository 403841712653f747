"""`record_files.npy` of a collection: files whose documents have own ids.

The id of a row of a table, or of a line of JSON, does not tell the file.  So the array has a digest of the name of each
file that gave such documents, and of each folder and archive above it.  A missing array means that they are unknown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np

from retrieval.index.storage.npy import npy_bytes
from retrieval.util.temporaries import replace_atomically

RECORD_FILES = "record_files.npy"

NameDigests: TypeAlias = frozenset[int]


def with_parents(name: str) -> Iterator[str]:
    """Yield a name and the archives and folders that hold it, the root "" last."""
    while name:
        yield name
        name = name.rpartition("/")[0]
    yield ""


def name_digests(names: Iterable[str]) -> NameDigests:
    """Return digests of names, 64 bits each."""
    return frozenset(int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) for name in names)


def read_record_files(collection: Path) -> NameDigests | None:
    """Return the digests of a collection; None if they are unknown."""
    try:
        found = np.load(collection / RECORD_FILES, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return frozenset(found.tolist()) if found.dtype == np.uint64 else None


def write_record_files(collection: Path, digests: NameDigests) -> None:
    """Replace the digests of a collection durably.  Raises StorageError."""
    replace_atomically(collection / RECORD_FILES, npy_bytes(np.array(sorted(digests), dtype=np.uint64)))
