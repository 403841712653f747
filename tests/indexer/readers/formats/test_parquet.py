"""Parquet: rows and types."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from retrieval.types import Document
from tests.indexer.readers.reading import read_all


def test_parquet(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "title": "T", "text": "x", "when": datetime(2020, 1, 31, 12), "tags": ["a"], "n": 1.5, "raw": b"0"},
        {"id": 2, "title": None, "text": None, "when": None, "tags": None, "n": None, "raw": None},
        {"id": 3, "title": "", "text": "z", "when": None, "tags": [], "n": 2.0, "raw": None},
    ]
    path = tmp_path / "c.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    documents, [bad] = read_all(path)
    assert documents[0] == Document("1", "x", "T", {"when": "2020-01-31T12:00:00", "tags": ("a",), "n": 1.5})
    assert documents[1].id == "3"
    assert bad.line == 2
    path.write_bytes(path.read_bytes()[:-20])
    assert "not readable as Parquet" in str(read_all(path)[1][0])
