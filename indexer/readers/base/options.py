"""Options of the readers and the limits under which they read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from indexer.readers.base.outcomes import DocumentOrigin
from retrieval.types import FieldType

MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """Limits of reading; a document or file beyond a limit becomes a BadDocument."""

    record_bytes: int = 32 * MEBIBYTE  # one line of JSONL or one row of a table
    file_bytes: int = 1024 * MEBIBYTE  # a file that a parser reads as a whole
    text_bytes: int = 64 * MEBIBYTE  # the text of one file
    memory_bytes: int = 2048 * MEBIBYTE  # address space of a parser process
    cpu_seconds: int = 120  # CPU time of a parser process for one file
    wall_seconds: int = 300  # silence of a parser process
    expansion: int = 250  # decompressed bytes for each compressed byte, beyond `free_expansion_bytes`
    free_expansion_bytes: int = 64 * MEBIBYTE
    ocr_pages: int = 2_000  # pages of one file that OCR reads
    members: int = 10_000  # files of an archive
    depth: int = 3  # archives within archives


@dataclass(frozen=True, slots=True)
class WebOptions:
    """Limits of fetching web pages. The host of the source itself is always allowed."""

    hosts: tuple[str, ...] = ()  # further hosts, for redirects and sitemaps
    max_pages: int = 1_000  # pages and sitemaps of one source
    page_bytes: int = 32 * MEBIBYTE
    page_seconds: float = 30.0
    delay_seconds: float = 0.2  # between requests, if robots.txt asks for no delay
    robots: bool = True
    allow_private: bool = False  # addresses that are not public


def _ignore_progress() -> None:
    pass


def _ignore_unread(_origin: DocumentOrigin, _reason: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Options for reading sources.

    `id_field`, `title_field` and `text_fields` name the fields of records (JSON, CSV, Parquet). An empty `id_field`
    means `_id` if that field exists, else `id`. `types` gives the types of metadata columns of CSV and TSV that the
    reader must not infer.
    """

    format: str = ""  # name of a format; "" detects it by content and suffix
    id_field: str = ""
    title_field: str = "title"
    text_fields: tuple[str, ...] = ("text",)  # of several, the texts are joined by blank lines, in this order
    list_separator: str = ";"  # between the values of a list in a cell of CSV or TSV
    types: Mapping[str, FieldType] = field(default_factory=dict)
    include_folder: str = ""  # whose files documents may include; "": none
    file: str = ""  # path of the file that is being parsed, if it is in `include_folder`
    id_prefix: str = ""  # prefix of the ids of files (see id_prefixes)
    root: str = ""  # folder to which the ids of files are relative, as if all of it were read
    include: tuple[str, ...] = ()  # globs of relative paths in folders; empty takes every file
    exclude: tuple[str, ...] = ()
    hidden: bool = False  # read files and folders whose names begin with a full stop
    ignore_files: bool = True  # honour .gitignore, .ignore and .attendexignore
    tables_as_text: bool = False  # read a table without an id or text column as one document; always so in folders
    password: str = ""  # for protected PDF files
    ocr: bool = False  # read pages without a text layer with tesseract
    ocr_languages: str = "eng"  # names that tesseract knows, joined by "+"
    report_progress: Callable[[], None] = _ignore_progress  # a parser calls it so that long work is not a hang
    # A reader calls it for each part of a file that gives no document, with the reason. It is no failure.
    report_unread: Callable[[DocumentOrigin, str], None] = _ignore_unread
    workers: int = 0  # parser processes; 0 means one for each core, at most four
    web: WebOptions | None = None  # None: fetch nothing
    limits: ReadLimits = ReadLimits()
