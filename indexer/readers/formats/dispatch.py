"""One file, or one member of an archive, to the reader of its format.  Runs where the parser runs."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import BinaryIO

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, ReadItem
from indexer.readers.formats.compressed import expanded, first_bytes, read_whole
from indexer.readers.formats.detect import HEAD_BYTES, detect, refine
from indexer.readers.formats.format_table import FORMATS
from indexer.readers.text.language import language_of
from retrieval.errors import AttendexError, BadDocument, InputError
from retrieval.types import Document

PACKED_SUFFIXES = (".gz", ".bz2", ".xz")
STREAMED = ("beir", "jsonl", "csv", "tsv", "tar")  # read on and on; everything else is read at any place
PROGRAMS = ("code", "notebook")  # in which small words say little
OWN_METADATA = ("beir", "jsonl", "json", "csv", "tsv", "parquet", "zip", "tar")


class SkippedFile(InputError):
    """A file of a kind that holds no documents."""


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file as it is being read."""

    format: str
    items: Iterator[ReadItem]


def read_stream(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> ReadFile:
    """Begin to read `stream`, which can seek; raises SkippedFile for a kind that is not read."""
    unpacked = expanded(stream, options.limits)
    name = PurePosixPath(origin.name)
    if unpacked is not stream and name.suffix.lower() in PACKED_SUFFIXES:
        name = name.with_suffix("")
    head = first_bytes(unpacked, HEAD_BYTES)
    if not head:
        raise SkippedFile("is empty")
    known = options.format or detect(head, name.name)
    if unpacked is not stream and known not in STREAMED:
        unpacked = io.BytesIO(read_whole(unpacked, options.limits))
    known = _checked(refine(known, unpacked, name.name))
    items = FORMATS[known].load()(unpacked, origin, options)
    return ReadFile(known, items if known in OWN_METADATA else _labelled(items, known))


def guarded(items: Iterator[ReadItem], origin: DocumentOrigin) -> Iterator[ReadItem]:
    """`items`, and last what breaks them off, so that the rest of an archive or a mailbox is still read."""
    try:
        yield from items
    except MemoryError:  # a process that has met its limit is no longer to be trusted
        raise
    except Exception as error:  # a parser may raise anything at all; it must not take others with it
        yield broken(error, origin)


def broken(error: Exception, origin: DocumentOrigin) -> BadDocument:
    """What a parser raised, as the error of the file that it read."""
    if isinstance(error, BadDocument) and error.path:
        return error
    if isinstance(error, AttendexError):
        return BadDocument(str(error), path=origin.path)
    if isinstance(error, RecursionError):
        return BadDocument("nested too deeply", path=origin.path)
    return BadDocument(f"damaged or unreadable: {type(error).__name__}: {error}"[:500], path=origin.path)


def _checked(known: str) -> str:
    """`known` if it can be read."""
    if known.startswith("unsupported:"):
        raise SkippedFile(f"{known.removeprefix('unsupported:')}: not a format that is read")
    if known == "text:unknown":
        raise SkippedFile("text of a kind that its name does not tell; name its format with --format to read it")
    if not known:
        raise SkippedFile("neither text nor a known format")
    if known not in FORMATS:
        raise SkippedFile(f"no format is called {known!r}; there are {', '.join(FORMATS)}")
    return known


def _labelled(items: Iterator[ReadItem], format_name: str) -> Iterator[ReadItem]:
    """Documents with their format as metadata; attachments have their own already."""
    for item in items:
        if isinstance(item, Document):
            silent = "language" in item.metadata or format_name in PROGRAMS
            language = "" if silent else language_of(item.text)
            extra = {"format": format_name, "language": language} if language else {"format": format_name}
            yield replace(item, metadata={**extra, **item.metadata})
        else:
            yield item
