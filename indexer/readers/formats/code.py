"""Source code and configuration: the text as it is, in sections that begin with its definitions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import BinaryIO

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, ReadItem
from indexer.readers.formats.text import parse_text, read_as
from indexer.readers.text.text_builder import ParsedDocument
from retrieval.types import Document, Section

# A definition that begins a line without indentation, in the languages that have such words.
DEFINITION = re.compile(
    r"^(?:export\s+|default\s+|pub(?:\([\w:]+\))?\s+|public\s+|private\s+|protected\s+|static\s+|abstract\s+|final\s+|async\s+)*"
    r"(?:def|defmodule|class|func|fun|fn|function|sub|proc|interface|protocol|struct|enum|trait|impl|type|module|object|record|namespace)\s+"
    r"(?:\([^)\n]{0,80}\)\s*)?([A-Za-z_]\w*(?:(?:\.|::)\w+)*)",
    re.MULTILINE,
)


def read_code(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """The file as one document, titled by its name with suffix."""
    for item in read_as(parse_code, stream, origin, options):
        if isinstance(item, Document):
            name = PurePosixPath(origin.name).name
            yield Document(item.id, item.text, name, item.metadata, item.sections)
        else:
            yield item


def parse_code(data: bytes, options: ReadOptions) -> ParsedDocument:
    """The text, a section a top-level definition."""
    text = parse_text(data, options).text
    starts = [(match.start(), match.group(1)) for match in DEFINITION.finditer(text)]
    if not starts:
        return ParsedDocument(text)
    begin = [(0, "")] if starts[0][0] else []
    marks = begin + starts
    ends = [start for start, _ in marks[1:]] + [len(text)]
    return ParsedDocument(text, "", tuple(Section(s, e, name, name) for (s, name), e in zip(marks, ends, strict=True)))
