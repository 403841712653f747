"""Decide which documents a run with `--sync` deletes.

A document that the sources did not give is deleted, unless a file that could not be read may hold it: a file is empty
while another program writes it, and its documents only seem to be gone.  Such a file protects the documents that are
named after it, and a folder or an archive those below it.  A file that gave documents with ids of their own before
protects all documents of that kind.  A page protects itself; a list of pages protects all pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from indexer.building.source_reading import BuildTally, read_documents
from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import FileOutcome, FileStatus, printable
from indexer.readers.formats.compressed import uncompressed_name
from indexer.readers.formats.format_table import FORMATS, format_for_suffix
from indexer.readers.opening import FileParser
from indexer.sources.paths import is_url
from indexer.writing.document_writer import DocumentWriter
from indexer.writing.record_files import (
    name_digests,
    read_record_files,
    with_parents,
    write_record_files,
)
from retrieval.errors import InputError
from retrieval.types import Document


@dataclass(frozen=True, slots=True)
class Protection:
    """Which documents that the sources did not give must stay."""

    names: frozenset[str]  # of files, folders, archives, pages and documents
    records: bool  # whether documents with ids of their own stay
    pages: bool  # whether pages of the web stay

    def __bool__(self) -> bool:
        return bool(self.names)

    def covers(self, document: Document) -> bool:
        """Check whether a file that could not be read may hold the document."""
        if is_url(document.id):
            return self.pages or document.id in self.names or "" in self.names
        return (self.records and not _is_named_after_file(document)) or any(
            name in self.names for name in with_parents(document.id)
        )


class GivenSources:
    """The documents of the sources of one build.

    With `sync`, it deletes the documents that the sources lack.  `parse` parses their files.
    """

    def __init__(
        self,
        sources: Sequence[Path | str],
        options: ReadOptions,
        on_file: Callable[[FileOutcome], None],
        *,
        skip_bad: bool,
        sync: bool,
        parse: FileParser | None = None,
    ) -> None:
        self._parse = parse
        self._sources = sources
        self._options = options
        self._skip_bad = skip_bad
        self._sync = sync
        self._unread = UnreadFiles(sources, on_file)
        self._is_new = False
        self._is_complete = False

    @property
    def cause(self) -> str:
        """The cause of the generation."""
        return printable("index " + " ".join(Path(source).name or str(source) for source in self._sources))

    def documents(self, tally: BuildTally) -> Iterator[Document]:
        """Yield the documents of the sources."""
        return read_documents(
            self._sources, self._options, tally, self._unread, skip_bad=self._skip_bad, parse=self._parse
        )

    def delete_gone(self, writer: DocumentWriter, tally: BuildTally) -> None:
        """Delete what the sources lack.  Raises InputError if nothing could be read."""
        self._is_new = not writer.generation
        if not tally.read and (self._sync or self._is_new):
            raise InputError(f"{', '.join(map(str, self._sources))}: no document could be read, so nothing was changed")
        self._unread.names |= tally.empty_sources
        if self._sync:
            delete_unseen(writer, self._unread.protection(writer.path, tally.rejected), tally)
            self._is_complete = not tally.kept_unseen

    def committed(self, collection: Path) -> None:
        """Record which files have documents with ids of their own."""
        remember_record_files(collection, self._unread, is_complete=self._is_new or self._is_complete)


class UnreadFiles:
    """The files of a run that could not be read; passes each outcome on to `on_file`."""

    def __init__(self, sources: Sequence[Path | str], on_file: Callable[[FileOutcome], None]) -> None:
        self.names: set[str] = set()
        self.record_files: set[str] = set()  # that were read, and the folders above them
        self._without_records: set[str] = set()  # of a format that gives one document, with the name of the file
        self._sources = {str(source) for source in sources}
        self._on_file = on_file

    def __call__(self, outcome: FileOutcome) -> None:
        """Record the outcome of one file."""
        name = outcome.name if is_url(outcome.name) else outcome.name.rstrip("/")
        if outcome.bad or outcome.status is not FileStatus.READ:
            self.names.add(name)
            if _gives_one_document(outcome):
                self._without_records.add(name)
        if outcome.documents and is_url(name):
            self.record_files |= {outcome.path} - {name}  # an address that leads to another one
        elif outcome.own_ids:
            self.record_files.update(with_parents(name))
        self._on_file(outcome)

    @property
    def may_hold_records(self) -> set[str]:
        """The files that may hold documents with ids of their own."""
        return self.names - self._without_records

    def protection(self, collection: Path, rejected: Iterable[str]) -> Protection:
        """Return what the files protect; a rejected document protects its earlier version."""
        known = read_record_files(collection)
        names = self.names
        may_hold = self.may_hold_records if known is None else {name for name in names if name_digests([name]) <= known}
        return Protection(
            names=frozenset(self.names | set(rejected)),
            records=any(not is_url(name) for name in may_hold),
            pages=any(is_url(name) for name in may_hold | (self.names & self._sources)),
        )


def delete_unseen(writer: DocumentWriter, protection: Protection, tally: BuildTally) -> None:
    """Delete the documents that the sources lack; keep and report the protected ones."""
    if not protection:
        writer.delete_unseen()
        return
    kept = 0
    for documents in writer.unseen():
        gone = [document.id for document in documents if not protection.covers(document)]
        kept += len(documents) - len(gone)
        writer.delete(gone)
    tally.kept_unseen = kept > 0
    if kept and not tally.bad:  # a bad document is a problem already
        tally.problems.append(
            f"{kept:,} document(s) that the sources no longer give were not deleted: files that may hold them gave no "
            "document this time; repair them, or leave them out with --exclude"
        )


def remember_record_files(collection: Path, unread: UnreadFiles, *, is_complete: bool) -> None:
    """Add the record files of a run to those of the collection.

    `is_complete`: the run gave all documents of the collection.  Otherwise unknown files stay unknown as long as a file
    that could not be read may be another one.
    """
    known = read_record_files(collection)
    if known is None and unread.may_hold_records and not is_complete:
        return
    found = name_digests(unread.record_files)
    if known is None or not found <= known:
        write_record_files(collection, found | (known or frozenset()))


def _gives_one_document(outcome: FileOutcome) -> bool:
    """Check whether the format, or else the suffix, is of files with one document."""
    named = FORMATS.get(outcome.format) or format_for_suffix(uncompressed_name(PurePosixPath(outcome.name)).suffix)
    return named is not None and bool(named.parser)


def _is_named_after_file(document: Document) -> bool:
    """Check for the metadata that the readers give to the document of a file."""
    has_file = {"path", "bytes", "format"} <= set(document.metadata)
    return has_file and str(document.metadata["path"]) in with_parents(document.id)
