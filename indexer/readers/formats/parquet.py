"""Parquet: one document a row, read batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any, BinaryIO

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, ReadItem
from indexer.readers.formats.jsonl import check_encodable
from indexer.readers.formats.records import document_from, fields_problem
from indexer.readers.formats.tables import table_as_text
from retrieval.errors import BadDocument
from retrieval.types import Document

BATCH_ROWS = 1024


def read_parquet(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """A document, or what is wrong, for every row; `line` of an error is the row, from 1."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(stream) as table:
            if problem := fields_problem(table.schema_arrow.names, options):
                yield _without_records(table, problem, origin, options)
                return
            for batch in table.iter_batches(batch_size=BATCH_ROWS):
                for record in batch.to_pylist(maps_as_pydicts="lossy"):
                    number += 1
                    yield _item(record, origin.path, number, options)
    except (pa.ArrowException, OSError, ValueError) as error:
        yield BadDocument(f"not readable as Parquet after row {number}: {error}", path=origin.path)


def _without_records(table: Any, problem: str, origin: DocumentOrigin, options: ReadOptions) -> ReadItem:
    """A table of another kind: one document in a folder, else the reason why it is none."""
    if not options.tables_as_text:
        return BadDocument(problem, path=origin.path)
    names = table.schema_arrow.names
    records = (row for batch in table.iter_batches(batch_size=BATCH_ROWS) for row in batch.to_pylist())
    rows = (["" if row[name] is None else str(row[name]) for name in names] for row in records)
    return table_as_text(chain([names], rows), origin, options)


def _item(record: dict[str, object], path: str, number: int, options: ReadOptions) -> ReadItem:
    try:
        document: Document = document_from(record, options)
        check_encodable(document)
        return document
    except BadDocument as error:
        return BadDocument(str(error), path=path, line=number)
