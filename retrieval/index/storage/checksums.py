"""Files with their digests: recorded when written, checked before anything reads the bytes.

A file is digested whole, and, where it is longer than one block, block by block as well, so that a large file need not
be read to its end before its first page is used.
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
    """What a generation knows of one of its files; `name` is relative to the directory of its owner."""

    name: str
    size_bytes: int
    sha256: str
    blocks: tuple[bytes, ...] = ()  # SHA-256 of each block; empty for a file of one block


def record_file(folder: Path, name: str) -> FileRecord:
    """Digest a finished file."""
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
    """The next block; shorter only at the end of the file."""
    parts = []
    missing = BLOCK_BYTES
    while missing and (part := os.read(descriptor, missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


class CheckedFile:
    """A file of a generation, memory-mapped; `require` checks the bytes that are about to be used.

    The size is checked on opening.  The file stays readable when its name is removed.  Safe to use from several
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
                size_bytes = os.fstat(file.fileno()).st_size
                if size_bytes != self.record.size_bytes:
                    raise self.damage(f"has {size_bytes} bytes, the manifest says {self.record.size_bytes}")
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size_bytes else b""
        except FileNotFoundError as error:
            raise self.damage("is missing") from error
        except OSError as error:
            raise self.damage(f"cannot be read ({error.strerror})") from error

    def require(self, start: int = 0, end: int | None = None) -> None:
        """Check the blocks that hold the bytes [start, end), each once.  Raises CorruptCollection."""
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
        """Give back the memory of the pages that were checked; they stay in the page cache."""
        if isinstance(self.bytes, mmap.mmap):
            self.bytes.madvise(mmap.MADV_DONTNEED)

    def _check(self, block: int, piece: mmap.mmap | memoryview | bytes, expected: bytes) -> None:
        if hashlib.sha256(piece).digest() != expected:
            where = f" in block {block} (from byte {block * BLOCK_BYTES})" if self.record.blocks else ""
            raise self.damage(f"differs from its digest{where}")
        self._checked[block] = True

    def damage(self, what: str) -> CorruptCollection:
        """The error for a file that is not what was written."""
        return CorruptCollection(f"{what}; {REPAIR}", path=self.path)
