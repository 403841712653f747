"""Export a generation: its documents as given, with their passages and vectors.

A reader of records turns an export into the same documents and passages again, so that the same encoder and settings
give the same scores.  Memory is bounded by one block of documents.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.metadata.given import shown_metadata, to_json
from retrieval.types import Rows
from retrieval.util.files import Files
from retrieval.util.temporaries import replacing

BLOCK_DOCUMENTS = 512

_PASSAGE = [
    ("start", pa.int64()),
    ("end", pa.int64()),
    ("location", pa.large_string()),
    ("heading", pa.large_string()),
]
Watch = Callable[[int], None]


def export_records(reader: IndexReader, *, vectors: bool) -> Iterator[list[dict[str, Any]]]:
    """Yield blocks of records of the live documents, in the order of the collection."""
    rows = np.flatnonzero(reader.live_documents)
    for start in range(0, len(rows), BLOCK_DOCUMENTS):
        yield _records(reader, rows[start : start + BLOCK_DOCUMENTS], vectors=vectors)


def write_export(reader: IndexReader, target: Path, to: str, watch: Watch, *, vectors: bool) -> int:
    """Write the documents to a file that replaces `target`; return their number.

    `to` is a key of FORMATS.  The watcher is told of the documents that are written.
    """
    count = 0

    def counted() -> Iterator[list[dict[str, Any]]]:
        nonlocal count
        for block in export_records(reader, vectors=vectors):
            yield block
            count += len(block)
            watch(count)

    with replacing(target, Files()) as sink:
        FORMATS[to](sink, counted(), vectors)
    return count


def _records(reader: IndexReader, documents: Rows, *, vectors: bool) -> list[dict[str, Any]]:
    first, last = np.searchsorted(reader.document_of, [documents, documents + 1])
    rows = np.concatenate([np.arange(*ends) for ends in zip(first.tolist(), last.tolist(), strict=True)])
    passages = [
        {"start": each.start, "end": each.end, "location": each.location, "heading": each.heading}
        for each in reader.passages(rows)
    ]
    if vectors:
        for passage, vector in zip(passages, reader.vectors.rows(rows).tolist(), strict=True):
            passage["vector"] = vector
    found = iter(passages)
    return [
        {
            "id": document.id,
            "title": document.title,
            "text": document.text,
            "metadata": shown_metadata(document),
            "passages": [next(found) for _ in range(count)],
        }
        for document, count in zip(reader.documents(documents), (last - first).tolist(), strict=True)
    ]


def _write_jsonl(sink: BinaryIO, blocks: Iterator[list[dict[str, Any]]], vectors: bool) -> None:  # noqa: ARG001
    for block in blocks:
        for record in block:
            metadata = json.loads(to_json(record["metadata"]))
            sink.write(json.dumps({**record, "metadata": metadata}, ensure_ascii=False).encode() + b"\n")


def _write_parquet(sink: BinaryIO, blocks: Iterator[list[dict[str, Any]]], vectors: bool) -> None:
    """Write a table; the column `metadata` has JSON, since documents differ in it."""
    passage = pa.struct([*_PASSAGE, ("vector", pa.list_(pa.float32()))] if vectors else _PASSAGE)
    names = ("id", "title", "text", "metadata")
    schema = pa.schema([*((name, pa.large_string()) for name in names), ("passages", pa.list_(passage))])
    with pq.ParquetWriter(sink, schema) as writer:
        for block in blocks:
            rows = [{**record, "metadata": to_json(record["metadata"])} for record in block]
            writer.write_table(pa.Table.from_pylist(rows, schema))


FORMATS: dict[str, Callable[[BinaryIO, Iterator[list[dict[str, Any]]], bool], None]] = {
    "jsonl": _write_jsonl,
    "parquet": _write_parquet,
}
