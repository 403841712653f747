"""Digests of files: recorded after writing, checked before any byte is used.

A file has a digest of all its bytes.  A file of more than one block also has a digest of each block, so that a reader
of a large file checks only the blocks that it uses.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retrieval.errors import CorruptCollection
from retrieval.util.files import storage_errors

BLOCK_BYTES = 1 << 20
REPAIR = "restore the collection, or `attendex rollback` to a good generation"


@dataclass(frozen=True, slots=True)
class FileRecord:
    """Size and digests of a file; `name` is relative to its directory."""

    name: str
    size_bytes: int
    sha256: str
    blocks: tuple[bytes, ...] = ()  # SHA-256 of each block; empty for a file of one block


def record_file(folder: Path, name: str) -> FileRecord:
    """Compute the record of a finished file."""
    whole = hashlib.sha256()
    blocks = []
    size_bytes = 0
    with storage_errors(folder / name), (folder / name).open("rb", buffering=0) as file:
        while block := _read_block(file.fileno()):
            whole.update(block)
            blocks.append(hashlib.sha256(block).digest())
            size_bytes += len(block)
    return FileRecord(name, size_bytes, whole.hexdigest(), tuple(blocks) if len(blocks) > 1 else ())


def _read_block(descriptor: int) -> bytes:
    """Read the next block; only the last block of a file is shorter."""
    parts = []
    missing = BLOCK_BYTES
    while missing and (part := os.read(descriptor, missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


class CheckedFile:
    """A memory-mapped file of a generation; `require` checks bytes before their use.

    Opening checks the size.  The file stays readable after a writer removes its name.  Safe to use from several
    threads.
    """

    def __init__(self, folder: Path, record: FileRecord) -> None:
        self.path = folder / record.name
        self.record = record
        self.bytes = self._map()
        self._checked = np.zeros(max(1, len(record.blocks)), dtype=np.bool_)

    def _map(self) -> mmap.mmap | bytes:
        try:
            with self.path.open("rb") as file:
                check_size(self.path, self.record, file.fileno())
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if self.record.size_bytes else b""
        except FileNotFoundError as error:
            raise self.damage("is missing") from error
        except OSError as error:
            raise self.damage(f"cannot be read ({error.strerror})") from error

    def require(self, start: int = 0, end: int | None = None) -> None:
        """Check the blocks of bytes [start, end) once.  Raises CorruptCollection."""
        if not self.record.blocks:
            if not self._checked[0]:
                self._check(0, self.bytes, bytes.fromhex(self.record.sha256))
            return
        end = self.record.size_bytes if end is None else end
        for block in range(start // BLOCK_BYTES, -(-end // BLOCK_BYTES)):
            if not self._checked[block]:
                piece = memoryview(self.bytes)[block * BLOCK_BYTES : (block + 1) * BLOCK_BYTES]
                self._check(block, piece, self.record.blocks[block])

    def release(self) -> None:
        """Release the memory of the mapped pages; they stay in the page cache."""
        if isinstance(self.bytes, mmap.mmap):
            self.bytes.madvise(mmap.MADV_DONTNEED)

    def _check(self, block: int, piece: mmap.mmap | memoryview | bytes, expected: bytes) -> None:
        if hashlib.sha256(piece).digest() != expected:
            where = f" in block {block} (from byte {block * BLOCK_BYTES})" if self.record.blocks else ""
            raise self.damage(f"differs from its digest{where}")
        self._checked[block] = True

    def damage(self, problem: str) -> CorruptCollection:
        """Return the error for a file that differs from the written file."""
        return _damage(self.path, problem)


def check_size(path: Path, record: FileRecord, descriptor: int | None = None) -> None:
    """Raise CorruptCollection if the file, open or not, has not its recorded size."""
    size_bytes = os.stat(path if descriptor is None else descriptor).st_size  # noqa: PTH116
    if size_bytes != record.size_bytes:
        raise _damage(path, f"has {size_bytes} bytes, the manifest says {record.size_bytes}")


def _damage(path: Path, problem: str) -> CorruptCollection:
    return CorruptCollection(f"{problem}; {REPAIR}", path=path)
