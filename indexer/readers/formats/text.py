"""Plain text: one document a file.  Also what every reader of whole files shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import BinaryIO, TypeAlias

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, ReadItem
from indexer.readers.formats.compressed import read_whole
from indexer.readers.text.charsets import decode
from indexer.readers.text.reflow import has_parted_words, joined_words, vocabulary
from indexer.readers.text.text_builder import ParsedDocument, TextBuilder, clean
from retrieval.errors import BadDocument

Parse: TypeAlias = Callable[[bytes, ReadOptions], ParsedDocument]


def read_text(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """The file as one document, titled after its name."""
    return read_as(_parse_prose, stream, origin, options)


def read_as(parse: Parse, stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """What `parse` makes of the file as one document; its id is the file's name, and its title if it has none."""
    try:
        parsed = parse(read_whole(stream, options.limits), options)
    except BadDocument as error:
        yield BadDocument(str(error), path=origin.path)
        return
    if parsed.text.strip():
        yield parsed.document(origin.name, PurePosixPath(origin.name).stem)
    else:
        yield BadDocument("holds no text", path=origin.path)


def _parse_prose(data: bytes, options: ReadOptions) -> ParsedDocument:
    """The text with words put together that a line's end has parted."""
    del options
    text = decode(data)
    if has_parted_words(text):
        text = joined_words(text, vocabulary([text]))
    return _paged(text)


def parse_text(data: bytes, options: ReadOptions) -> ParsedDocument:
    """The text as it is, controls aside; a form feed begins a page."""
    del options
    return _paged(decode(data))


def _paged(text: str) -> ParsedDocument:
    pages = text.split("\f")
    if len(pages) == 1:
        return ParsedDocument(clean(pages[0]).strip("\n"))
    builder = TextBuilder()
    for number, page in enumerate(pages, start=1):
        builder.place(f"p. {number}")
        builder.block(page)
    return builder.build()
