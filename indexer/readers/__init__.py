"""Read documents; `open_documents` is the entry point."""

from indexer.readers.base.options import ReadLimits, ReadOptions, WebOptions
from indexer.readers.base.outcomes import DocumentOrigin, FileOutcome, FileReport, FileStatus, ReadItem, printable
from indexer.readers.opening import open_documents
from indexer.readers.sources.folders import find_beir_corpus
from indexer.readers.sources.paths import check_source, id_prefixes, is_url

__all__ = [
    "DocumentOrigin",
    "FileOutcome",
    "FileReport",
    "FileStatus",
    "ReadItem",
    "ReadLimits",
    "ReadOptions",
    "WebOptions",
    "check_source",
    "find_beir_corpus",
    "id_prefixes",
    "is_url",
    "open_documents",
    "printable",
]
