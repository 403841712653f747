"""Compressed files: every stream is read, and bombs are stopped."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from indexer.readers.base.options import ReadLimits, ReadOptions
from tests.indexer.readers.reading import read_all, read_one


def test_gzipped_document(tmp_path: Path) -> None:
    (tmp_path / "d.md.gz").write_bytes(gzip.compress(b"# Zipped\n\ntext"))
    assert read_one(tmp_path / "d.md.gz").title == "Zipped"


def zstandard(data: bytes) -> bytes:
    packed: bytes = pa.compress(data, "zstd", asbytes=True)
    return packed


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstandard])
def test_compressed_by_content_and_suffix(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "c.jsonl.gz"
    path.write_bytes(pack(b'{"_id": "1", "text": "x"}\n' * 1000))
    assert len(read_all(path)[0]) == 1000
    path.write_bytes(pack(b'{"_id": "1", "text": "x"}\n' * 1000)[:-12])
    _, bad = read_all(path)
    assert "damaged compressed data" in str(bad[-1])


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstandard])
@pytest.mark.parametrize("between", [b"", bytes(8), bytes(2 << 20)])
def test_every_stream_of_a_compressed_file_is_read(
    tmp_path: Path, pack: Callable[[bytes], bytes], between: bytes
) -> None:
    """`cat a.xz b.xz` and parallel compressors write several streams."""
    if pack in (bz2.compress, zstandard) and between:
        pytest.skip("bzip2 and Zstandard have no padding")
    lines = [b'{"_id": "%d", "text": "x"}\n' % number for number in range(3)]
    path = tmp_path / "c.jsonl.packed"
    path.write_bytes(between.join(map(pack, lines)) + between)
    documents, bad = read_all(path, ReadOptions(format="jsonl"))
    assert ([each.id for each in documents], bad) == (["0", "1", "2"], [])


def test_data_after_an_xz_stream_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl.xz"
    path.write_bytes(lzma.compress(b'{"_id": "1", "text": "x"}\n') + b"more")
    [bad] = read_all(path)[1]
    assert "damaged compressed data" in str(bad)


def test_a_truncated_gzip_file_is_an_error(tmp_path: Path) -> None:
    lines = b"".join(json.dumps({"id": number, "text": f"number {number}"}).encode() + b"\n" for number in range(500))
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(lines)[:-40])
    _, [bad] = read_all(tmp_path / "c.jsonl.gz")
    assert "c.jsonl.gz: damaged compressed data" in str(bad)


def test_a_decompression_bomb_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n" * 4_000_000))
    limits = ReadLimits(free_expansion_bytes=1 << 20, expansion=10)
    documents, [bad] = read_all(path, ReadOptions(limits=limits))
    assert documents == []
    assert "expands to more than 10 times" in str(bad)
