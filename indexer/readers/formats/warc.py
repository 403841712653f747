"""Read the pages of web archives (WARC, ISO 28500), such as those of Common Crawl.

A page is a response with status 200, a resource, or a conversion to text. Its address is the id of its document.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, BinaryIO

from warcio.archiveiterator import ArchiveIterator
from warcio.exceptions import ArchiveLoadFailed

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, ReadItem
from indexer.readers.formats.detect import SkippedFile
from indexer.readers.formats.dispatch import guarded, read_stream
from indexer.readers.formats.format_table import format_for_media_type
from retrieval.errors import BadDocument
from retrieval.types import Document

PAGES = ("response", "resource", "conversion")
FOUND = "200"
BLOCK_BYTES = 1 << 16


def read_warc(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """Yield the documents of all pages, in the archive's order."""
    try:
        for record in ArchiveIterator(stream, arc2warc=True):
            address = record.rec_headers.get_header("WARC-Target-URI")
            if record.rec_type in PAGES and address and _is_found(record):
                page = origin.member(address)
                yield from guarded(_read_page(record, address, page, options), page)
    except ArchiveLoadFailed as error:
        yield BadDocument(f"damaged web archive: {error}", path=origin.path)


def _is_found(record: Any) -> bool:
    return record.http_headers is None or record.http_headers.get_statuscode() == FOUND


def _read_page(record: Any, address: str, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """Yield the documents of a page; one of a format without a reader is reported."""
    named = format_for_media_type(_media_type(record))
    date = record.rec_headers.get_header("WARC-Date") or ""
    try:
        data = io.BytesIO(_content(record, options.limits.record_bytes))
        file = read_stream(data, origin, replace(options, format=named.name if named else ""))
        for item in file.items:
            if isinstance(item, Document) and item.id == origin.name:
                about = {"url": address, "crawled": date, "format": file.format.name}
                item = replace(item, id=address, metadata={**about, **item.metadata})
            yield item
    except SkippedFile as skipped:
        options.report_unread(origin, str(skipped))


def _media_type(record: Any) -> str:
    headers = record.http_headers or record.rec_headers
    return str(headers.get_header("Content-Type") or "").split(";")[0].strip().lower()


def _content(record: Any, max_bytes: int) -> bytes:
    """Return the page without its transfer and content coding.

    Raises BadDocument if it is too long.
    """
    stream, data = record.content_stream(), bytearray()
    while part := stream.read(BLOCK_BYTES):
        data += part
        if len(data) > max_bytes:
            raise BadDocument(f"the page is longer than {max_bytes:,} bytes")
    return bytes(data)
