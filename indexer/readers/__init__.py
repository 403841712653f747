"""Readers of documents; one file a format, and `open_documents` is the door."""

from indexer.readers.formats.beir import BeirFolder, find_beir
from indexer.readers.opening import open_documents
from indexer.readers.options import FileOutcome, FileStatus, Limits, ReadOptions, WebOptions
from indexer.readers.report import FileReport
from indexer.readers.sources.sources import check_source, id_prefixes, printable

__all__ = [
    "BeirFolder",
    "FileOutcome",
    "FileReport",
    "FileStatus",
    "Limits",
    "ReadOptions",
    "WebOptions",
    "check_source",
    "find_beir",
    "id_prefixes",
    "open_documents",
    "printable",
]
