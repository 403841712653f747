"""Spreadsheets that are text: XML of Excel 2003, or a table with delimiters."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from indexer.readers.base.options import ReadOptions
from indexer.readers.formats.format_table import HEAD_BYTES, XML_WORKBOOK
from indexer.readers.formats.tables import delimiter_of
from indexer.readers.formats.zip_package import attribute, local, parse_xml
from indexer.readers.text.charsets import decode
from indexer.readers.text.text_builder import ParsedDocument, TextBuilder
from retrieval.errors import BadDocument

MAX_COLUMN = 16_384


def parse_text_sheet(data: bytes, options: ReadOptions) -> ParsedDocument:
    """Parse a spreadsheet that is text. HTML under such a name has its own format."""
    builder = TextBuilder()
    if XML_WORKBOOK.match(data[:HEAD_BYTES].replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe")):
        for sheet in parse_xml(data).iterfind("./{*}Worksheet"):
            if not _is_hidden(sheet):
                name = attribute(sheet, "Name")
                builder.location(name, clear_headings=True)
                builder.section(1, name)
                builder.rows(map(_cells, sheet.iterfind("./{*}Table/{*}Row")))
    else:
        text = decode(data)
        csv.field_size_limit(options.limits.text_bytes)
        try:
            builder.rows(csv.reader(io.StringIO(text), delimiter=delimiter_of(text.partition("\n")[0])))
        except csv.Error as error:
            raise BadDocument(f"neither a spreadsheet nor a table with delimiters: {error}") from error
    return builder.build()


def _cells(row: Element) -> Iterator[str]:
    """Yield the cells of a row; `Index` tells of empty cells before a cell."""
    column = 1
    for cell in row.iterfind("./{*}Cell"):
        index = attribute(cell, "Index")
        while index.isdecimal() and column < min(int(index), MAX_COLUMN):
            column += 1
            yield ""
        yield "".join("".join(part.itertext()) for part in cell if local(part) == "Data")
        column += 1


def _is_hidden(sheet: Element) -> bool:
    shown = sheet.find("./{*}WorksheetOptions/{*}Visible")
    return shown is not None and (shown.text or "").strip() in ("SheetHidden", "SheetVeryHidden")
