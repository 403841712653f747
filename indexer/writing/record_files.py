"""`record_files.npy` of a collection: files whose documents have own ids.

The id of a row of a table, or of a line of JSON, does not tell the file.  So the array has a digest of the name of each
file that gave such documents, and of each folder and archive above it.  A missing array means that they are unknown.
The SHA-256 of the array follows it, because no manifest names the file.  Readers of `.npy` files ignore these bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np

from retrieval.errors import CorruptCollection
from retrieval.index.storage.npy import npy_bytes
from retrieval.util.temporaries import replace_atomically

RECORD_FILES = "record_files.npy"
_HEADER_BYTES = len(npy_bytes(np.empty(0, np.uint64)))
_SEAL_BYTES = 39  # no multiple of 8: a damaged seal is never read as digests

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
    path = collection / RECORD_FILES
    try:
        return decode_record_files(path.read_bytes(), path)
    except (OSError, CorruptCollection):
        return None


def decode_record_files(data: bytes, path: Path) -> NameDigests:
    """Decode the bytes of the file `path`.  Raises CorruptCollection.

    Files of earlier versions have no digest.
    """
    array = data[:-_SEAL_BYTES]
    if data != array + _seal(array):
        array = data  # an earlier version wrote no seal
    whole = len(array) - len(array) % 8
    digests = np.frombuffer(array[_HEADER_BYTES:whole], dtype=np.uint64)
    if npy_bytes(digests) != array:
        problem = "is damaged; remove it: the next `attendex index` that reads all its files writes it again"
        raise CorruptCollection(problem, path=path)
    return frozenset(digests.tolist())


def write_record_files(collection: Path, digests: NameDigests) -> None:
    """Replace the digests of a collection durably.  Raises StorageError."""
    array = npy_bytes(np.array(sorted(digests), dtype=np.uint64))
    replace_atomically(collection / RECORD_FILES, array + _seal(array))


def _seal(array: bytes) -> bytes:
    return b"sha256:" + hashlib.sha256(array).digest()
