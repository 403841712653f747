"""Open a source (file, folder, standard input, web) and yield its documents."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Protocol

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import (
    DocumentOrigin,
    FileListener,
    FileOutcome,
    FileStatus,
    ReadItem,
    UnreadPart,
    printable,
)
from indexer.readers.formats.compressed import DAMAGE, first_bytes, open_file, uncompressed_name
from indexer.readers.formats.detect import is_whole_json, starts_with_magic
from indexer.readers.formats.dispatch import utc_date, with_file_metadata
from indexer.readers.formats.format_table import FORMATS, format_for_suffix
from indexer.readers.formats.ocr import check_ocr
from indexer.readers.sandbox.parser_pool import (
    FileEnded,
    FileStarted,
    ParserMessage,
    ParserPool,
    ParserTask,
    scratch_folder,
)
from indexer.sources.folders import FolderSource, find_beir_corpus
from indexer.sources.paths import STDIN, check_source, is_path, is_url
from indexer.sources.source import FoundFile, Source, fetch_files
from indexer.sources.website import WebSource
from retrieval.errors import BadDocument
from retrieval.types import Document
from retrieval.util.files import storage_errors

NO_DOCUMENT = "holds no document"
MAX_WORKERS = 4
MAGIC_BYTES = 64  # more than the longest magic bytes


class FileParser(Protocol):
    """Parses files, in this process or on other machines."""

    def __call__(
        self, files: Iterator[FoundFile], source: Path | str, options: ReadOptions
    ) -> Iterator[ReadItem | FileOutcome]:
        """Yield the items of `files` in order, and after those of each file its outcome."""


def open_documents(
    source: Path | str,
    options: ReadOptions | None = None,
    on_file: FileListener | None = None,
    parse: FileParser | None = None,
) -> Iterator[ReadItem]:
    """Yield the documents of `source` in a stable order and in bounded memory.

    `source` is a file, a folder, "-" for standard input, or a URL if `options.web` allows it. A document that cannot
    be read is yielded as a BadDocument with path and line, and reading goes on. `on_file` gets the outcome of each
    file. `parse` parses the files; by default, processes of this machine do. Raises BadDocument at once if `source`
    does not exist, and InputError if `options.ocr` needs a program or a language that is not installed.
    """
    options = options or ReadOptions()
    check_ocr(options)
    on_file = on_file or (lambda _outcome: None)
    parse = parse or parse_files
    if source == STDIN:
        return _read_standard_input(options, on_file)
    if is_url(source):
        if options.web is None:
            raise BadDocument("is a URL, and fetching is off; allow it with --web", path=source)
        return _read_source(WebSource(options.web, str(source)), str(source), options, on_file)
    check_source(source)
    return _read_path(Path(source), options, on_file, parse)


def _read_standard_input(options: ReadOptions, on_file: FileListener) -> Iterator[ReadItem]:
    """Read standard input through a temporary file: most formats need to seek."""
    with scratch_folder() as folder:
        path = folder / "stdin"
        with storage_errors(path), path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        found = FoundFile(path, DocumentOrigin("standard input", options.id_prefix + "stdin"))
        yield from read_files(iter([found]), Path(STDIN), options, on_file)


def _read_source(
    source: Source, shown: str, options: ReadOptions, on_file: FileListener, parse: FileParser | None = None
) -> Iterator[ReadItem]:
    """Fetch the items of a source to temporary files, and read those."""
    with scratch_folder() as folder, source:
        yield from read_files(fetch_files(source, source.list(), folder), shown, options, on_file, parse)


def _read_path(path: Path, options: ReadOptions, on_file: FileListener, parse: FileParser) -> Iterator[ReadItem]:
    if corpus := find_beir_corpus(path):
        found = FoundFile(corpus, DocumentOrigin(str(corpus), corpus.name))
        return read_files(iter([found]), path, replace(options, format="beir"), on_file, parse)
    if path.is_dir():
        tables = replace(options, tables_as_text=True)
        return _read_source(FolderSource(path, options), str(path), tables, on_file, parse)
    found = FoundFile(path, DocumentOrigin(str(path), options.id_prefix + path.name))
    as_text = options.tables_as_text or bool(options.root)
    return read_files(iter([found]), path, replace(options, tables_as_text=as_text), on_file, parse)


@dataclass(slots=True)
class _QueuedFile:
    """A file that this process reads, or that the pool parses already."""

    file: FoundFile
    format: str = ""
    task: ParserTask | None = None
    started: float = field(default_factory=time.perf_counter)


def read_files(
    files: Iterator[FoundFile],
    source: Path | str,
    options: ReadOptions,
    on_file: FileListener,
    parse: FileParser | None = None,
) -> Iterator[ReadItem]:
    """Yield the items of `files` in order, or a BadDocument if there are none."""
    empty, reason = True, ""
    for item in (parse or parse_files)(files, source, options):
        if isinstance(item, FileOutcome):
            on_file(item)
            reason = reason or item.reason
        else:
            empty = False
            yield item
    if empty:
        detail = f" ({reason})" if reason not in ("", NO_DOCUMENT) else ""
        yield BadDocument(NO_DOCUMENT + detail, path=printable(str(source)))


def parse_files(
    files: Iterator[FoundFile], source: Path | str, options: ReadOptions
) -> Iterator[ReadItem | FileOutcome]:
    """Parse files in processes of this machine: a `FileParser`."""
    workers = options.workers or max(1, min(MAX_WORKERS, os.cpu_count() or 1))
    with ParserPool(workers, options.limits) as pool:
        for queued in _submit_ahead(files, source, pool, 2 * workers, options):
            yield from _read_file(queued, pool, options)


def _submit_ahead(
    files: Iterator[FoundFile], source: Path | str, pool: ParserPool, ahead: int, options: ReadOptions
) -> Iterator[_QueuedFile]:
    """Yield the files in order, with the next `ahead` files in the pool."""
    submitted: deque[_QueuedFile] = deque()
    for file in files:
        chosen = options.format or file.format
        queued = _QueuedFile(file, chosen or _line_format(file.path))
        if not file.failed and not (queued.format in FORMATS and FORMATS[queued.format].is_line_oriented):
            own = with_include_folder(replace(options, format=chosen), file, source)
            queued.task = ParserTask(file.path, file.origin, own)
            pool.submit(queued.task)
        submitted.append(queued)
        if len(submitted) > ahead:
            yield submitted.popleft()
    yield from submitted


def with_include_folder(options: ReadOptions, file: FoundFile, source: Path | str) -> ReadOptions:
    """Return the options with the folder whose files a document may include.

    It is the source, or for a single file `options.root` or else its own folder.  Fetched files include nothing.
    """
    if file.is_temporary or not is_path(source):
        return options
    folder = Path(source) if Path(source).is_dir() else Path(options.root) if options.root else Path(source).parent
    if not file.path.absolute().is_relative_to(folder.absolute()):
        return options
    return replace(options, include_folder=str(folder), file=str(file.path))


def _line_format(path: Path) -> str:
    """Return the line-oriented format of the suffix; "" if the bytes differ."""
    named = format_for_suffix(uncompressed_name(PurePosixPath(path.name)).suffix)
    if named is None or not named.is_line_oriented:
        return ""
    try:
        with path.open("rb") as file:
            head = first_bytes(file, MAGIC_BYTES)
    except OSError:
        return named.name
    is_whole = named.array_format and is_whole_json(head)
    return "" if is_whole or starts_with_magic(head) else named.name


def _read_file(queued: _QueuedFile, pool: ParserPool, options: ReadOptions) -> Iterator[ReadItem | FileOutcome]:
    """Yield the items of a file and the outcomes of its unread parts, then its own."""
    file = queued.file
    documents, bad, own_ids = 0, 0, 0
    reason, skipped, found = "", "", queued.format
    for item in _items(queued, pool, options):
        if isinstance(item, FileStarted):
            found = item.format
        elif isinstance(item, FileEnded):
            skipped = item.skipped
        elif isinstance(item, UnreadPart):
            if item.path == file.origin.path:
                reason = reason or item.reason
            else:
                yield FileOutcome(item.path, FileStatus.SKIPPED, reason=item.reason, name=item.name)
        elif isinstance(item, Document):
            documents += 1
            own_ids += item.id != file.origin.name and not item.id.startswith(f"{file.origin.name}/")
            is_record = found in FORMATS and FORMATS[found].has_own_metadata and item.id != file.origin.name
            yield item if is_record else _with_metadata(item, file, found)
        else:
            bad += 1
            reason = reason or str(item)
            yield item
    status = FileStatus.SKIPPED if skipped else FileStatus.READ if documents else FileStatus.FAILED
    reason = skipped or reason or ("" if documents else NO_DOCUMENT)
    seconds = time.perf_counter() - queued.started
    size = 0 if file.failed else _size_bytes(file.path)
    if file.is_temporary:
        file.path.unlink(missing_ok=True)
    origin = file.origin
    yield FileOutcome(origin.path, status, found, reason, documents, bad, size, seconds, origin.name, own_ids)


def _items(queued: _QueuedFile, pool: ParserPool, options: ReadOptions) -> Iterator[ParserMessage]:
    if queued.file.failed:
        return iter([BadDocument(queued.file.failed, path=queued.file.origin.path)])
    if queued.task is not None:
        return pool.messages(queued.task)
    return _read_in_process(queued, options)


def _read_in_process(queued: _QueuedFile, options: ReadOptions) -> Iterator[ReadItem]:
    """Yield the items of a line-oriented file; an error of the file comes last."""
    path, origin = queued.file.path, queued.file.origin
    try:
        with open_file(path, options.limits) as stream:
            yield from FORMATS[queued.format].read(stream, origin, options)
    except DAMAGE as error:
        yield BadDocument(f"damaged compressed data: {error}", path=origin.path)
    except BadDocument as error:
        yield BadDocument(str(error), path=origin.path)
    except OSError as error:
        yield BadDocument(f"cannot be read: {error.strerror or error}", path=origin.path)


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _with_metadata(document: Document, file: FoundFile, found: str) -> Document:
    try:
        stat = file.path.stat()
    except OSError:
        return document
    return with_file_metadata(document, file.origin, found, stat.st_size, utc_date(stat.st_mtime))
