"""Spreadsheets: a section for each sheet, a line for each row that has text."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import Any, TypeAlias
from zipfile import ZipFile

import python_calamine as calamine

from indexer.readers.base.options import ReadOptions
from indexer.readers.formats import sheet_ods, sheet_xls
from indexer.readers.formats.detect import is_text
from indexer.readers.formats.format_table import HEAD_BYTES
from indexer.readers.formats.sheet_numbers import NumberFormat, shown_cells
from indexer.readers.formats.sheet_text import parse_text_sheet
from indexer.readers.formats.zip_package import core_properties, open_zip, unescape
from indexer.readers.text.text_builder import ParsedDocument, TextBuilder
from retrieval.errors import BadDocument

ShownCell: TypeAlias = NumberFormat | str

PLAIN = NumberFormat()


def parse_sheet(data: bytes, options: ReadOptions) -> ParsedDocument:
    """Parse a spreadsheet (xlsx, xlsb, xls, ods), or text under such a name."""
    if is_text(data[:HEAD_BYTES]):
        return parse_text_sheet(data, options)
    with contextlib.ExitStack() as stack:
        archive = stack.enter_context(open_zip(data, options.limits)) if data.startswith(b"PK") else None
        return _parse_book(data, archive, options)


def _parse_book(data: bytes, archive: ZipFile | None, options: ReadOptions) -> ParsedDocument:
    about = core_properties(archive) if archive else {}
    shown = _shown_by_sheet(data, archive)
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
            builder.rows(_rows(sheet, shown(name)))
            remaining = options.limits.text_bytes - builder.length
    except (calamine.CalamineError, ValueError) as error:
        raise BadDocument(f"damaged or protected spreadsheet: {error}") from error
    return builder.build(**about)


def _shown_by_sheet(data: bytes, archive: ZipFile | None) -> Callable[[str], Mapping[tuple[int, int], ShownCell]]:
    """Return the function that gives formats, or shown texts, of the cells of a sheet."""
    sheets: Mapping[str, Mapping[tuple[int, int], ShownCell]]
    if archive is None:
        sheets = sheet_xls.shown_cells(data)
    elif sheet_ods.CONTENT in archive.NameToInfo:
        sheets = sheet_ods.shown_cells(archive)
    else:
        return partial(shown_cells, archive)
    return lambda name: sheets.get(name, {})


def _visible_sheets(book: Any) -> list[str]:
    """Return the visible worksheets, or all worksheets if none is visible."""
    sheets = [sheet for sheet in book.sheets_metadata if str(sheet.typ).endswith("WorkSheet")]
    visible = [sheet.name for sheet in sheets if str(sheet.visible).endswith(".Visible")]
    return visible or [sheet.name for sheet in sheets]


def _rows(sheet: Any, shown: Mapping[tuple[int, int], ShownCell]) -> Iterator[list[str]]:
    first_column = sheet.start[1] if sheet.start else 0  # rows begin there, and with row 0
    for number, row in enumerate(sheet.iter_rows()):
        cells = [_cell_text(cell, shown.get((number, column))) for column, cell in enumerate(row, first_column)]
        while cells and not cells[-1]:
            cells.pop()
        if cells:
            yield cells


def _cell_text(cell: object, shown: ShownCell | None) -> str:
    """Return a cell's value as shown; `shown` is its format or its error."""
    if isinstance(shown, str):
        return shown
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, int | float):
        return (shown or PLAIN).show(cell)
    if isinstance(cell, datetime):
        return cell.isoformat(" ").removesuffix(" 00:00:00")
    if isinstance(cell, date | time):
        return cell.isoformat()
    if isinstance(cell, timedelta):
        return _hours(cell)
    return "" if cell is None else unescape(str(cell))


def _hours(length: timedelta) -> str:
    """Return a length of time in hours, as spreadsheets show it: 42:00."""
    seconds = round(abs(length.total_seconds()))
    sign = "-" if length < timedelta(0) else ""
    rest = f":{seconds % 60:02}" if seconds % 60 else ""
    return f"{sign}{seconds // 3600}:{seconds // 60 % 60:02}{rest}"
