"""Decide which documents a run with `--sync` may delete.

A document that the sources did not give is deleted, unless a file that could not be read may hold it.  Such a file is
empty or truncated while a program writes it, so its documents only seem to be gone.  A file protects the documents that
are named after it.  The documents of a table or a file of JSON have ids of their own: such a file protects every
document that is named after no file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from indexer.building.source_reading import BuildTally
from indexer.readers import FileOutcome, FileStatus
from indexer.readers.formats.format_table import FORMATS, format_for_suffix
from indexer.readers.sources.paths import is_url
from indexer.writing.writer import Writer
from retrieval.types import Document


class UnreadFiles:
    """The files of a run that could not be read; passes each outcome on to `on_file`."""

    def __init__(self, on_file: Callable[[FileOutcome], None]) -> None:
        self._on_file = on_file
        self._names: set[str] = set()
        self._protects_all = False
        self._protects_records = False
        self._bad = 0  # lines, rows and members of all files

    def __call__(self, outcome: FileOutcome) -> None:
        """Record the outcome of one file."""
        self._bad += outcome.bad
        if outcome.bad or outcome.status is not FileStatus.READ:
            name = outcome.name.rstrip("/")
            self._names.add(name)
            self._protects_all |= not name or is_url(outcome.path)  # the root of a source, or a sitemap
            self._protects_records |= _may_hold_records(outcome)
        self._on_file(outcome)

    def finish(self, tally: BuildTally) -> None:
        """Record the rejected documents, and a source that gave nothing at all."""
        self._names |= tally.rejected
        self._protects_all |= tally.bad > self._bad + len(tally.rejected)

    def __bool__(self) -> bool:
        return self._protects_all or bool(self._names)

    def may_hold(self, document: Document) -> bool:
        """Check whether a file that could not be read may hold the document."""
        if self._protects_all or (self._protects_records and not _is_named_after_file(document)):
            return True
        return any(name in self._names for name in _with_parents(document.id))


def delete_unseen(writer: Writer, unread: UnreadFiles, tally: BuildTally) -> None:
    """Delete the documents that the sources lack; keep and report the protected ones."""
    unread.finish(tally)
    if not unread:
        writer.delete_unseen()
        return
    kept = 0
    for documents in writer.unseen():
        gone = [document.id for document in documents if not unread.may_hold(document)]
        kept += len(documents) - len(gone)
        writer.delete(gone)
    if kept:
        tally.kept_unseen = True
        tally.problems.insert(
            0,
            f"{kept:,} document(s) that the sources no longer give were not deleted: files that may hold them could "
            "not be read; repair these files, or leave them out with --exclude",
        )


def _may_hold_records(outcome: FileOutcome) -> bool:
    """Check whether documents of the file or folder may have ids of their own."""
    suffixes = (format_for_suffix(suffix) for suffix in PurePosixPath(outcome.name).suffixes[-2:])
    found = [FORMATS.get(outcome.format), *suffixes]
    is_folder = outcome.status is FileStatus.FAILED and not outcome.format
    return is_folder or any(each is not None and each.has_own_metadata for each in found)


def _is_named_after_file(document: Document) -> bool:
    """Check for the metadata that the readers give to the document of a file."""
    has_file = {"path", "bytes", "format"} <= set(document.metadata)
    return has_file and str(document.metadata["path"]) in _with_parents(document.id)


def _with_parents(name: str) -> Iterator[str]:
    """Yield a name and the names of the folders and archives that hold it."""
    yield name
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name
