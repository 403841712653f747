"""Files checked block by block: what was not asked about is not read, what was changed is not used."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from retrieval.errors import CorruptCollection
from retrieval.index.storage.checksums import BLOCK_BYTES, CheckedFile, record_file

SIZES = [0, 1, 1000, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 5]


def write(path: Path, size_bytes: int) -> bytes:
    data = bytes(range(251)) * (size_bytes // 251 + 1)
    path.write_bytes(data[:size_bytes])
    return data[:size_bytes]


@pytest.mark.parametrize("size_bytes", SIZES)
def test_a_whole_file_passes(tmp_path: Path, size_bytes: int) -> None:
    data = write(tmp_path / "file", size_bytes)
    record = record_file(tmp_path, "file")
    assert record.sha256 == hashlib.sha256(data).hexdigest()
    assert len(record.blocks) in (0, -(-size_bytes // BLOCK_BYTES))
    file = CheckedFile(tmp_path, record)
    file.require()
    assert bytes(file.bytes) == data


def test_only_the_blocks_that_are_asked_for_are_checked(tmp_path: Path) -> None:
    data = bytearray(write(tmp_path / "file", 3 * BLOCK_BYTES + 5))
    record = record_file(tmp_path, "file")
    data[BLOCK_BYTES + 7] ^= 1
    (tmp_path / "file").write_bytes(data)
    file = CheckedFile(tmp_path, record)
    file.require(0, BLOCK_BYTES)
    file.require(2 * BLOCK_BYTES)
    for start, end in ((0, BLOCK_BYTES + 1), (BLOCK_BYTES, BLOCK_BYTES + 1), (2 * BLOCK_BYTES - 1, 2 * BLOCK_BYTES)):
        with pytest.raises(CorruptCollection, match=r"file: differs from its digest in block 1 \(from byte 1048576\)"):
            file.require(start, end)


@pytest.mark.parametrize("size_bytes", [1, 1000, BLOCK_BYTES + 1])
def test_another_size_is_refused_on_opening(tmp_path: Path, size_bytes: int) -> None:
    data = write(tmp_path / "file", size_bytes)
    record = record_file(tmp_path, "file")
    for changed in (data[:-1], data + b"x", b""):
        (tmp_path / "file").write_bytes(changed)
        with pytest.raises(CorruptCollection, match=f"has {len(changed)} bytes, the manifest says {size_bytes}"):
            CheckedFile(tmp_path, record)
    (tmp_path / "file").unlink()
    with pytest.raises(CorruptCollection, match="is missing"):
        CheckedFile(tmp_path, record)
