"""Messages carry records and arrays as they are, and make no object of another class."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgpack
import numpy as np
import pytest

from indexer.cluster.messages import BITMAP, RECORD, RECORDS, decode, encode
from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, FileOutcome, FileStatus
from indexer.sources.source import FoundFile
from retrieval.errors import BadDocument, CorruptCollection
from retrieval.index.storage.settings import settings_to_json
from retrieval.types import Document, FieldType, Section
from tests.indexer.conftest import Bench

DOCUMENT = Document(
    "half \ud800 pair",
    "text",
    "title",
    {"year": 1999.5, "tags": ("a", "b"), "day": datetime(2020, 1, 2, tzinfo=UTC), "big": 2**70},
    (Section(0, 4, "p. 1"),),
)


@pytest.mark.parametrize(
    "value",
    [
        DOCUMENT,
        [None, True, 1.5, -3, "text", b"bytes", (1, (2, "three"))],
        {"year": FieldType.NUMBER},
        FoundFile(Path(b"/data/caf\xe9.pdf".decode("utf-8", "surrogateescape")), DocumentOrigin("a", "b", 1)),
        FileOutcome("a", FileStatus.FAILED, reason="damaged"),
        ReadOptions(id_prefix="notes/", include=("*.pdf",), types={"year": FieldType.NUMBER}),
    ],
)
def test_a_message_holds_a_value(value: object) -> None:
    assert decode(encode(value)) == value


def test_a_message_holds_arrays_and_settings(bench: Bench) -> None:
    array = np.arange(6, dtype=np.float16).reshape(2, 3)
    [decoded, settings] = decode(encode([array, bench.settings]))
    assert decoded.dtype == array.dtype
    assert np.array_equal(decoded, array)
    assert settings_to_json(settings) == settings_to_json(bench.settings)


def test_a_bitmap_takes_a_bit_for_each_row() -> None:
    rows = np.arange(1001) % 3 == 0
    message = encode(rows)
    assert len(message) < 1001 / 8 + 20
    assert np.array_equal(decode(message), rows)
    with pytest.raises(ValueError, match="1 bytes for 1000000000000 bits"):
        decode(msgpack.packb(msgpack.ExtType(BITMAP, msgpack.packb([10**12, b"a"]))))


def test_errors_keep_their_message_and_place() -> None:
    bad = decode(encode(BadDocument("is empty", path="a.jsonl", line=3)))
    assert (type(bad), str(bad), bad.path, bad.line) == (BadDocument, "a.jsonl:3: is empty", "a.jsonl", 3)
    corrupt = decode(encode(CorruptCollection("is altered", path=Path("/c/vectors.npy"))))
    assert (str(corrupt), corrupt.path) == ("/c/vectors.npy: is altered", Path("/c/vectors.npy"))


def test_other_objects_are_refused() -> None:
    with pytest.raises(TypeError, match="cannot hold a set"):
        encode({"a", "b"})
    with pytest.raises(TypeError, match="cannot hold a function"):
        encode(encode)
    with pytest.raises(ValueError, match="pickle"):
        encode(np.array([object()]))
    with pytest.raises(IndexError):
        decode(msgpack.packb(msgpack.ExtType(RECORD, msgpack.packb([len(RECORDS), {}]))))
    with pytest.raises(ValueError, match="unknown part"):
        decode(msgpack.packb(msgpack.ExtType(99, b"")))
