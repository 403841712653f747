"""Plain text and source code, with pages or definitions as sections."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import BinaryIO

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, ReadItem
from indexer.readers.formats.format_table import read_parsed
from indexer.readers.text.charsets import decode
from indexer.readers.text.reflow import has_split_words, join_words, vocabulary
from indexer.readers.text.text_builder import ParsedDocument, TextBuilder, clean
from retrieval.types import Section

# A definition at the beginning of a line without indentation, in the languages that have such words.
DEFINITION = re.compile(
    r"^(?:(?:export|default|pub(?:\([\w:]+\))?|public|private|protected|static|abstract|final|async)[ \t]+)*+"
    r"(?:def|defmodule|class|func|fun|fn|function|sub|proc|interface|protocol|struct|enum|trait|impl|type|module|object|record"
    r"|namespace)[ \t]+"
    r"(?:\([^)\n]{0,80}\)[ \t]*)?([A-Za-z_]\w*(?:(?:\.|::)\w+)*+)",
    re.MULTILINE,
)


def parse_prose(data: bytes, options: ReadOptions) -> ParsedDocument:
    """Parse a text. Joins words that the end of a line splits."""
    del options
    text = decode(data)
    if has_split_words(text):
        text = join_words(text, vocabulary([text]))
    return _split_pages(text)


def read_code(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """Read source code as one document; the file name is the title."""
    return read_parsed(parse_code, stream, origin, options, PurePosixPath(origin.name).name)


def parse_code(data: bytes, options: ReadOptions) -> ParsedDocument:
    """Parse source code. Each top-level definition begins a section."""
    del options
    text = _split_pages(decode(data)).text
    starts = [(match.start(), match.group(1)) for match in DEFINITION.finditer(text)]
    if not starts:
        return ParsedDocument(text)
    before = [(0, "")] if starts[0][0] else []
    marks = before + starts
    ends = [start for start, _ in marks[1:]] + [len(text)]
    sections = (Section(start, end, name, name) for (start, name), end in zip(marks, ends, strict=True))
    return ParsedDocument(text, "", tuple(sections))


def _split_pages(text: str) -> ParsedDocument:
    """Return the text without control characters. A form feed begins a page."""
    pages = text.split("\f")
    if len(pages) == 1:
        return ParsedDocument(clean(pages[0]).strip("\n"))
    builder = TextBuilder()
    for number, page in enumerate(pages, start=1):
        builder.location(f"p. {number}")
        builder.block(page)
    return builder.build()
