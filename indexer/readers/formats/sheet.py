"""Spreadsheets: a section for each sheet, a line for each row that has text."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

import python_calamine as calamine

from indexer.readers.base.options import ReadOptions
from indexer.readers.formats.detect import is_text
from indexer.readers.formats.format_table import HEAD_BYTES
from indexer.readers.formats.sheet_text import parse_text_sheet
from indexer.readers.formats.zip_package import core_properties, open_zip
from indexer.readers.text.text_builder import ParsedDocument, TextBuilder
from retrieval.errors import BadDocument

MAX_WHOLE_FLOAT = 1e15  # a larger float keeps its decimal point


def parse_sheet(data: bytes, options: ReadOptions) -> ParsedDocument:
    """Parse a spreadsheet (xlsx, xlsb, xls, ods), or the text that programs save under these names."""
    if is_text(data[:HEAD_BYTES]):
        return parse_text_sheet(data, options)
    about: dict[str, str] = {}
    if data.startswith(b"PK"):
        with open_zip(data, options.limits) as archive:
            about = core_properties(archive)
    try:
        book = calamine.load_workbook(io.BytesIO(data))
        builder = TextBuilder(about.pop("title", ""))
        remaining = options.limits.text_bytes
        for name in _visible_sheets(book):
            builder.location(name, clear_headings=True)
            builder.section(1, name)
            sheet = book.get_sheet_by_name(name)
            if sheet.height * sheet.width > remaining:
                raise BadDocument(f"sheet {name!r} has {sheet.height:,} × {sheet.width:,} cells, too many; split it")
            builder.rows(_rows(sheet))
            remaining = options.limits.text_bytes - builder.length
    except (calamine.CalamineError, ValueError) as error:
        raise BadDocument(f"damaged or protected spreadsheet: {error}") from error
    return builder.build(**about)


def _visible_sheets(book: Any) -> list[str]:
    """Return the visible worksheets, or all worksheets if none is visible."""
    sheets = [sheet for sheet in book.sheets_metadata if str(sheet.typ).endswith("WorkSheet")]
    visible = [sheet.name for sheet in sheets if str(sheet.visible).endswith(".Visible")]
    return visible or [sheet.name for sheet in sheets]


def _rows(sheet: Any) -> Iterator[list[str]]:
    for row in sheet.iter_rows():
        cells = [_cell_text(cell) for cell in row]
        while cells and not cells[-1]:
            cells.pop()
        if cells:
            yield cells


def _cell_text(cell: object) -> str:
    """Return a cell's value as a spreadsheet program shows it."""
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < MAX_WHOLE_FLOAT else repr(cell)
    if isinstance(cell, datetime):
        return cell.isoformat(" ").removesuffix(" 00:00:00")
    if isinstance(cell, date | time):
        return cell.isoformat()
    if isinstance(cell, timedelta):
        return str(cell)
    return "" if cell is None else str(cell)
