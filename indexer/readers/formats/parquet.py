"""Parquet: one document for each row, read in batches."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, ReadItem
from indexer.readers.formats.records import check_encodable, document_from, fields_problem
from indexer.readers.formats.tables import table_as_text
from retrieval.errors import BadDocument

BATCH_ROWS = 1024


def read_parquet(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """Yield a document or an error for each row; its number is the line."""
    number = 0
    try:
        with pq.ParquetFile(stream) as table:
            if problem := fields_problem(table.schema_arrow.names, options):
                yield _read_as_text(table, problem, origin, options)
                return
            for batch in table.iter_batches(batch_size=BATCH_ROWS):
                for record in batch.to_pylist(maps_as_pydicts="lossy"):
                    number += 1
                    yield _read_record(record, origin.path, number, options)
    except (pa.ArrowException, OSError, ValueError) as error:
        yield BadDocument(f"not readable as Parquet after row {number}: {error}", path=origin.path)


def count_rows(path: Path) -> int:
    """Return the number of rows; 1 for a damaged file, which gives one error."""
    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowException):
        return 1


def _read_as_text(table: Any, problem: str, origin: DocumentOrigin, options: ReadOptions) -> ReadItem:
    """Return the table as one document if `options` allow that, else an error."""
    if not options.tables_as_text:
        return BadDocument(problem, path=origin.path)
    names = table.schema_arrow.names
    records = (row for batch in table.iter_batches(batch_size=BATCH_ROWS) for row in batch.to_pylist())
    rows = (["" if row[name] is None else str(row[name]) for name in names] for row in records)
    return table_as_text(chain([names], rows), origin, options)


def _read_record(record: dict[str, object], path: str, number: int, options: ReadOptions) -> ReadItem:
    try:
        document = document_from(record, options)
        check_encodable(document)
        return document
    except BadDocument as error:
        return BadDocument(str(error), path=path, line=number)
