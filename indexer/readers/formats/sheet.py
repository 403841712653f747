"""Spreadsheets: a section a sheet, a line a row; empty rows and columns left out."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any, BinaryIO

from indexer.readers.base.options import ReadOptions
from indexer.readers.base.outcomes import DocumentOrigin, ReadItem
from indexer.readers.formats.text import read_as
from indexer.readers.formats.zip_package import core_properties, open_zip
from indexer.readers.text.text_builder import ParsedDocument, TextBuilder
from retrieval.errors import BadDocument, MissingExtra


def read_sheet(stream: BinaryIO, origin: DocumentOrigin, options: ReadOptions) -> Iterator[ReadItem]:
    """The file as one document."""
    return read_as(parse_sheet, stream, origin, options)


def parse_sheet(data: bytes, options: ReadOptions) -> ParsedDocument:
    """What is read of a spreadsheet (xlsx, xlsb, xls, ods)."""
    try:
        import python_calamine as calamine
    except ImportError as error:
        raise MissingExtra("office", "reading spreadsheets") from error
    about: dict[str, str] = {}
    if data.startswith(b"PK"):
        with open_zip(data, options.limits) as archive:
            about = core_properties(archive)
    try:
        book = calamine.load_workbook(io.BytesIO(data))
        builder = TextBuilder(about.pop("title", ""))
        left = options.limits.text_bytes
        for name in _shown_sheets(book):
            builder.place(name, afresh=True)
            builder.mark(1, name)
            sheet = book.get_sheet_by_name(name)
            if sheet.height * sheet.width > left:
                raise BadDocument(f"sheet {name!r} has {sheet.height:,} × {sheet.width:,} cells, too many")
            builder.rows(_rows(sheet))
            left = options.limits.text_bytes - builder.length
    except (calamine.CalamineError, ValueError) as error:
        raise BadDocument(f"damaged or protected spreadsheet: {error}") from error
    return builder.build(**about)


def _shown_sheets(book: Any) -> list[str]:
    """Sheets of cells that are not hidden; all of those where none is shown."""
    sheets = [each for each in book.sheets_metadata if str(each.typ).endswith("WorkSheet")]
    shown = [each.name for each in sheets if str(each.visible).endswith(".Visible")]
    return shown or [each.name for each in sheets]


def _rows(sheet: Any) -> Iterator[list[str]]:
    for row in sheet.iter_rows():
        cells = [_shown(cell) for cell in row]
        while cells and not cells[-1]:
            cells.pop()
        if cells:
            yield cells


def _shown(cell: object) -> str:
    """A cell as a reader would write it."""
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if isinstance(cell, datetime):
        return cell.isoformat(" ").removesuffix(" 00:00:00")
    if isinstance(cell, date | time):
        return cell.isoformat()
    if isinstance(cell, timedelta):
        return str(cell)
    return "" if cell is None else str(cell)
