"""Read a file or a member of an archive with the reader of its format."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import BinaryIO

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, ReadItem
from indexer.readers.formats.compressed import expanded, first_bytes, read_whole, uncompressed_name
from indexer.readers.formats.detect import SkippedFile, detect, refine
from indexer.readers.formats.format_table import DEFAULT_ZIP, FORMATS, HEAD_BYTES, Format
from indexer.readers.text.legibility import problem_of
from retrieval.errors import AttendexError, BadDocument
from retrieval.types import Document, Metadata
from retrieval.util.language import language_of

MAX_REASON_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file of a known format whose items are being read."""

    format: Format
    items: Iterator[ReadItem]


def read_stream(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> OpenedFile:
    """Begin to read a seekable `stream`; raise SkippedFile if it has no reader."""
    unpacked = expanded(stream, options.limits)
    name = PurePosixPath(origin.name)
    if unpacked is not stream:
        name = uncompressed_name(name)
    head = first_bytes(unpacked, HEAD_BYTES)
    if not head:
        raise SkippedFile("is empty")
    try:
        found = named_format(options.format) if options.format else detect(head, name.name)
    except SkippedFile:
        if unpacked is not stream:
            read_whole(unpacked, options.limits)  # a decompression bomb is a failed file, not a skipped one
        raise
    if unpacked is not stream and not (found.is_streamed or found.is_line_oriented):
        unpacked = io.BytesIO(read_whole(unpacked, options.limits))
    if options.format in ("", DEFAULT_ZIP):
        found = refine(found, unpacked, name.name)
    items = found.read(unpacked, origin, options)
    return OpenedFile(found, items if found.has_own_metadata else _add_language(items, found, origin, options))


def named_format(name: str) -> Format:
    """Return the format of this name. Raises SkippedFile if no format has it."""
    if name not in FORMATS:
        raise SkippedFile(f"no format is called {name!r}; there are {', '.join(FORMATS)}")
    return FORMATS[name]


def guarded(items: Iterator[ReadItem], origin: DocumentOrigin) -> Iterator[ReadItem]:
    """Yield `items`; an exception becomes the last one, so that reading goes on."""
    try:
        yield from items
    except MemoryError:  # a process that met its memory limit must exit
        raise
    except Exception as error:  # a parser may raise any exception; it must not stop the reading of other files
        yield as_bad_document(error, origin)


def as_bad_document(error: Exception, origin: DocumentOrigin) -> BadDocument:
    """Return an exception of a parser as the error of the file that it read."""
    if isinstance(error, BadDocument) and error.path:
        return error
    if isinstance(error, AttendexError):
        return BadDocument(str(error), path=origin.path)
    if isinstance(error, RecursionError):
        return BadDocument("nested too deeply", path=origin.path)
    reason = f"damaged or unreadable: {type(error).__name__}: {error}"
    return BadDocument(reason[:MAX_REASON_CHARACTERS], path=origin.path)


def with_file_metadata(
    document: Document, origin: DocumentOrigin, found: str, size_bytes: int, modified: str
) -> Document:
    """Return `document` with the metadata of its file; its own metadata win."""
    times = {"modified": modified} if modified else {}
    about: Metadata = {"path": origin.name, "bytes": float(size_bytes), **times, "format": found}
    return replace(document, metadata={**about, **document.metadata})


def utc_date(seconds: float) -> str:
    """Return seconds since 1970 in ISO 8601; "" for an invalid time."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return ""


def _add_language(
    items: Iterator[ReadItem], found: Format, origin: DocumentOrigin, options: ReadOptions
) -> Iterator[ReadItem]:
    """Add missing format and language; report texts that are no language."""
    for item in items:
        if isinstance(item, Document):
            if not found.is_source_code and item.id == origin.name and (problem := problem_of(item.text)):
                options.report_unread(origin, f"its text may be unusable: {problem}")
            needs_no_language = "language" in item.metadata or found.is_source_code
            language = "" if needs_no_language else language_of(item.text)
            extra = {"format": found.name, "language": language} if language else {"format": found.name}
            yield replace(item, metadata={**extra, **item.metadata})
        else:
            yield item
