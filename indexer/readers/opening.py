"""The door: a source (file, folder or standard input) becomes documents."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from indexer.readers.base.options import ReadOptions, WebOptions
from indexer.readers.base.outcomes import DocumentOrigin, FileListener, FileOutcome, FileStatus, ReadItem, printable
from indexer.readers.formats.compressed import DAMAGE, open_file
from indexer.readers.formats.dispatch import OWN_METADATA, PACKED_SUFFIXES
from indexer.readers.formats.format_table import BY_SUFFIX, FORMATS
from indexer.readers.formats.ocr import check_ocr
from indexer.readers.sandbox.parser_pool import FileEnded, FileStarted, ParserMessage, ParserPool, ParserTask
from indexer.readers.sources.folders import FoundFile, find_beir_corpus, walk
from indexer.readers.sources.paths import STDIN, check_source, is_url
from indexer.readers.text.dates import utc_date
from retrieval.errors import BadDocument
from retrieval.types import Document, Metadata
from retrieval.util.files import storage_errors

NOTHING = "holds no document"
MOST_WORKERS = 4
BINARY_MARKS = (b"%PDF", b"PK\x03\x04", b"PAR1", b"\xd0\xcf\x11\xe0")


def open_documents(
    source: Path | str, options: ReadOptions | None = None, on_file: FileListener | None = None
) -> Iterator[ReadItem]:
    """Documents of `source`, in a stable order (folders by path), in bounded memory.

    `source` is a file, a folder, "-" for standard input, or a URL where `options.web` allows it.  Whatever cannot be
    read is yielded as a BadDocument that carries path and line, and reading goes on.  `on_file` hears what became of
    each file.  Raises BadDocument at once when `source` is not there,
    InputError when `options.ocr` asks for what is not installed.
    """
    options = options or ReadOptions()
    check_ocr(options)
    if source == STDIN:
        return _standard_input(options, on_file or _ignore)
    if is_url(source):
        return _web(str(source), options, on_file or _ignore)
    check_source(source)
    return _documents(Path(source), options, on_file or _ignore)


def _ignore(outcome: FileOutcome) -> None:
    """Nobody listens."""
    del outcome


def _standard_input(options: ReadOptions, on_file: FileListener) -> Iterator[ReadItem]:
    """Standard input, through a temporary file, since most formats are read at any place."""
    with tempfile.TemporaryDirectory(prefix="attendex-read-") as folder:
        path = Path(folder) / "stdin"
        with storage_errors(path), path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        found = FoundFile(path, DocumentOrigin("standard input", options.id_prefix + "stdin"))
        yield from read_files(iter([found]), Path(STDIN), options, on_file)


def _web(url: str, options: ReadOptions, on_file: FileListener) -> Iterator[ReadItem]:
    """A page, or the pages of a sitemap, through temporary files."""
    if options.web is None:
        raise BadDocument("is a URL, and fetching is off; allow it with --web", path=url)
    return _fetched(url, options.web, options, on_file)


def _fetched(url: str, web: WebOptions, options: ReadOptions, on_file: FileListener) -> Iterator[ReadItem]:
    from indexer.readers.sources.web import WebSession

    with tempfile.TemporaryDirectory(prefix="attendex-read-") as folder, WebSession(web, url) as session:
        yield from read_files(session.pages(url, Path(folder)), Path(url), options, on_file)


def _documents(path: Path, options: ReadOptions, on_file: FileListener) -> Iterator[ReadItem]:
    if corpus := find_beir_corpus(path):
        found = FoundFile(corpus, DocumentOrigin(str(corpus), corpus.name))
        return read_files(iter([found]), path, replace(options, format="beir"), on_file)
    if path.is_dir():
        return read_files(walk(path, options), path, replace(options, tables_as_text=True), on_file)
    found = FoundFile(path, DocumentOrigin(str(path), options.id_prefix + path.name))
    return read_files(iter([found]), path, options, on_file)


@dataclass(slots=True)
class _Reading:
    """A file whose items are due: still to be read here, or under way in the pool."""

    file: FoundFile
    format: str = ""
    task: ParserTask | None = None
    started: float = field(default_factory=time.perf_counter)


def read_files(
    files: Iterator[FoundFile], source: Path, options: ReadOptions, on_file: FileListener
) -> Iterator[ReadItem]:
    """Items of `files` in their order; parsing runs ahead in other processes.

    A source without any item yields a BadDocument that says so.
    """
    workers = options.workers or max(1, min(MOST_WORKERS, os.cpu_count() or 1))
    empty, reason = True, ""
    with contextlib.closing(ParserPool(workers, options.limits)) as pool:
        for reading in _ahead(files, pool, 2 * workers, options):
            for item in _read(reading, pool, options):
                if isinstance(item, FileOutcome):
                    on_file(item)
                    reason = reason or item.reason
                else:
                    empty = False
                    yield item
    if empty:
        why = f" ({reason})" if reason not in ("", NOTHING) else ""
        yield BadDocument(NOTHING + why, path=printable(str(source)))


def _ahead(files: Iterator[FoundFile], pool: ParserPool, ahead: int, options: ReadOptions) -> Iterator[_Reading]:
    """Files in order, the next few of them already on their way."""
    waiting: deque[_Reading] = deque()
    for file in files:
        chosen = options.format or file.format
        reading = _Reading(file, chosen or _inside_format(file.path))
        if not file.failed and not (reading.format in FORMATS and FORMATS[reading.format].inside):
            reading.task = ParserTask(file.path, file.origin, replace(options, format=chosen))
            pool.submit(reading.task)
        waiting.append(reading)
        if len(waiting) > ahead:
            yield waiting.popleft()
    yield from waiting


def _inside_format(path: Path) -> str:
    """The format, where it is one that this process reads itself by the file's suffix; else empty."""
    name = PurePosixPath(path.name)
    if name.suffix.lower() in PACKED_SUFFIXES:
        name = name.with_suffix("")
    known = BY_SUFFIX.get(name.suffix.lower(), "")
    if not known or not FORMATS[known].inside:
        return ""
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError:
        return known
    is_array = known == "jsonl" and head.lstrip().startswith(b"[")
    return "" if head.startswith(BINARY_MARKS) or is_array else known


def _read(reading: _Reading, pool: ParserPool, options: ReadOptions) -> Iterator[ReadItem | FileOutcome]:
    """Items of one file, then its outcome."""
    file = reading.file
    documents, bad = 0, 0
    reason, skipped, known = "", "", reading.format
    for item in _items(reading, pool, options):
        if isinstance(item, FileStarted):
            known = item.format
        elif isinstance(item, FileEnded):
            skipped = item.skipped
        elif isinstance(item, Document):
            documents += 1
            own = known in OWN_METADATA and item.id != file.origin.name
            yield item if own else _with_file_metadata(item, file, known)
        else:
            bad += 1
            reason = reason or str(item)
            yield item
    status = FileStatus.SKIPPED if skipped else FileStatus.READ if documents else FileStatus.FAILED
    reason = skipped or reason or ("" if documents else NOTHING)
    seconds = time.perf_counter() - reading.started
    size = 0 if file.failed else _size(file.path)
    yield FileOutcome(file.origin.path, status, known, reason, documents, bad, size, seconds, file.origin.name)


def _items(reading: _Reading, pool: ParserPool, options: ReadOptions) -> Iterator[ParserMessage]:
    if reading.file.failed:
        return iter([BadDocument(reading.file.failed, path=reading.file.origin.path)])
    if reading.task is not None:
        return pool.answers(reading.task)
    return _read_here(reading, options)


def _read_here(reading: _Reading, options: ReadOptions) -> Iterator[ReadItem]:
    """Items of a file that this process reads; what breaks the file as a whole becomes its last item."""
    path, origin = reading.file.path, reading.file.origin
    try:
        with open_file(path, options.limits) as stream:
            yield from FORMATS[reading.format].load()(stream, origin, options)
    except DAMAGE as error:
        yield BadDocument(f"damaged compressed data: {error}", path=origin.path)
    except BadDocument as error:
        yield BadDocument(str(error), path=origin.path)
    except OSError as error:
        yield BadDocument(f"cannot be read: {error.strerror or error}", path=origin.path)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _with_file_metadata(document: Document, file: FoundFile, known: str) -> Document:
    """`document` with where it came from, to filter by."""
    try:
        stat = file.path.stat()
    except OSError:
        return document
    modified = {"modified": date} if (date := utc_date(stat.st_mtime)) else {}
    about: Metadata = {"path": file.origin.name, "bytes": float(stat.st_size), **modified, "format": known}
    return replace(document, metadata={**about, **document.metadata})
