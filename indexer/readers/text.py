"""Plain text and Markdown: one document a file."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import BinaryIO

from indexer.readers.options import Item, ReadOptions
from retrieval.errors import BadDocument
from retrieval.types import Document

HEADING = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t#]*$", re.MULTILINE)
BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(stream: BinaryIO, path: str, options: ReadOptions) -> Iterator[Item]:
    """The file as one document, titled after its name.  `path` is its id and what errors name."""
    try:
        text = decode(stream.read(options.limits.record_bytes + 1), options)
    except BadDocument as error:
        yield BadDocument(str(error), path=path)
        return
    if text.strip():
        yield Document(path, text, PurePosixPath(path).stem)
    else:
        yield BadDocument("the file is empty", path=path)


def read_markdown(stream: BinaryIO, path: str, options: ReadOptions) -> Iterator[Item]:
    """The file as one document, titled after its first heading, else its name."""
    for item in read_text(stream, path, options):
        if isinstance(item, Document) and (heading := HEADING.search(item.text)):
            yield Document(item.id, item.text, heading.group(1))
        else:
            yield item


def decode(data: bytes, options: ReadOptions) -> str:
    """`data` as text, by its byte order mark or as UTF-8; raises BadDocument that names the first bad byte."""
    if len(data) > options.limits.record_bytes:
        raise BadDocument(f"the file is larger than {options.limits.record_bytes:,} bytes")
    encoding = next((name for bom, name in BOMS if data.startswith(bom)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise BadDocument(f"invalid {encoding.removesuffix('-sig').upper()} at byte {error.start}") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")
