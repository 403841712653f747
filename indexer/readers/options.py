"""What a caller may ask of the readers, and what they tell about each file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from retrieval.errors import BadDocument
from retrieval.types import Document, FieldType

MEBIBYTE = 1 << 20

Item: TypeAlias = Document | BadDocument  # what a reader yields: a document, or why there is none


@dataclass(frozen=True, slots=True)
class Limits:
    """Where reading stops.  A document or file beyond a limit becomes a `BadDocument`; reading goes on after it."""

    record_bytes: int = 32 * MEBIBYTE  # one line of JSONL, one row of a table
    expansion: int = 250  # most bytes that one compressed byte may become, once `free_expansion_bytes` are out
    free_expansion_bytes: int = 64 * MEBIBYTE


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How sources are read.

    `id_field`, `title_field` and `text_field` name the fields of records (JSON, CSV, Parquet); an empty `id_field`
    means `_id` where it exists, else `id`.  `types` says what metadata columns of CSV and TSV hold where that is not
    to be inferred.
    """

    format: str = ""  # name of a format; "" finds it out by content and suffix
    id_field: str = ""
    title_field: str = "title"
    text_field: str = "text"
    types: Mapping[str, FieldType] = field(default_factory=dict)
    id_prefix: str = ""  # put before the ids of files, to keep several folders apart
    limits: Limits = Limits()


class FileStatus(StrEnum):
    """What became of a file."""

    READ = "read"
    SKIPPED = "skipped"  # not a document, by its kind or by a rule
    FAILED = "failed"  # should have been readable and was not


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """One line of the table at the end of a run.  `reason` is empty for a file that was read without trouble."""

    path: str
    status: FileStatus
    format: str = ""
    reason: str = ""
    documents: int = 0
    bad: int = 0  # lines, rows or members that gave no document
    bytes: int = 0
    seconds: float = 0.0


Listener: TypeAlias = Callable[[FileOutcome], None]
