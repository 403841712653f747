"""What a caller may ask of the readers, and what they tell about each file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from indexer.readers.sources.sources import printable
from retrieval.errors import BadDocument
from retrieval.types import Document, FieldType

MEBIBYTE = 1 << 20

Item: TypeAlias = Document | BadDocument  # what a reader yields: a document, or why there is none


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a document comes from: `path` is what errors show, `name` the stable relative path that ids are made of."""

    path: str
    name: str
    depth: int = 0  # of archives and mails around it

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", printable(self.path))
        object.__setattr__(self, "name", printable(self.name))

    def member(self, name: str) -> Origin:
        """Where a member of an archive or an attachment of a mail comes from."""
        return Origin(f"{self.path}/{name}", f"{self.name}/{name}", self.depth + 1)


@dataclass(frozen=True, slots=True)
class Limits:
    """Where reading stops.  A document or file beyond a limit becomes a `BadDocument`; reading goes on after it."""

    record_bytes: int = 32 * MEBIBYTE  # one line of JSONL, one row of a table
    file_bytes: int = 1024 * MEBIBYTE  # a file that is parsed as a whole
    text_bytes: int = 64 * MEBIBYTE  # what a parser may make of one file
    memory_bytes: int = 2048 * MEBIBYTE  # address space of a parser's process
    cpu_seconds: int = 120  # a parser's, on one file
    wall_seconds: int = 300  # without a sign of life from a parser
    expansion: int = 250  # most bytes that one compressed byte may become, once `free_expansion_bytes` are out
    free_expansion_bytes: int = 64 * MEBIBYTE
    ocr_pages: int = 2_000  # of one file that are read as pictures
    members: int = 10_000  # files of an archive
    depth: int = 3  # archives within archives


@dataclass(frozen=True, slots=True)
class WebOptions:
    """What may be fetched.  The host of the source itself is always allowed."""

    hosts: tuple[str, ...] = ()  # further hosts, of redirects and sitemaps
    pages: int = 1_000  # that a source leads to, and sitemaps
    page_bytes: int = 32 * MEBIBYTE
    seconds: float = 30.0  # for one page
    delay_seconds: float = 0.2  # between requests, where robots.txt asks for none
    robots: bool = True
    private: bool = False  # addresses that are not public


def _nothing() -> None:
    """Nobody waits."""


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
    id_prefix: str = ""  # put before the ids of files (see id_prefixes)
    include: tuple[str, ...] = ()  # globs of relative paths in folders; empty takes every file
    exclude: tuple[str, ...] = ()
    hidden: bool = False  # files and folders whose names begin with a full stop
    ignore_files: bool = True  # honour .gitignore, .ignore and .attendexignore
    tables_as_text: bool = False  # a table without id or text column is one document; always so in folders
    password: str = ""  # of protected PDF files
    ocr: bool = False  # read pages without a text layer with tesseract
    ocr_languages: str = "eng"  # as tesseract names them, joined by "+"
    alive: Callable[[], None] = _nothing  # called in the course of long work, so that it is not taken for a hang
    workers: int = 0  # parser processes; 0 for one a core, at most four
    web: WebOptions | None = None  # None: nothing is fetched
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
    name: str = ""  # what the ids of its documents are made of, unless they bring their own


Listener: TypeAlias = Callable[[FileOutcome], None]
