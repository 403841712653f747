"""Numbers of .xls cells as they are shown, and errors of formulas.

The parser of the cells gives values without their formats, and errors as empty cells. A second parser reads both.
"""

from __future__ import annotations

import io
from collections.abc import Mapping

import xlrd

from indexer.readers.formats.sheet_numbers import NumberFormat, parse_number_format


def shown_cells(data: bytes) -> dict[str, dict[tuple[int, int], NumberFormat | str]]:
    """Return formats that are not plain, and errors, by sheet, row and column."""
    try:
        book = xlrd.open_workbook(file_contents=data, formatting_info=True, on_demand=True, logfile=io.StringIO())
        codes = (book.format_map[style.format_key].format_str for style in book.xf_list)
        formats = {style: number for style, number in enumerate(map(parse_number_format, codes)) if not number.is_plain}
        return {name: _cells(book, name, formats) for name in book.sheet_names()}
    except Exception:  # the parser may fail in any way where the other one does not; numbers stay plain
        return {}


def _cells(
    book: xlrd.Book, name: str, formats: Mapping[int, NumberFormat]
) -> dict[tuple[int, int], NumberFormat | str]:
    sheet = book.sheet_by_name(name)
    shown: dict[tuple[int, int], NumberFormat | str] = {}
    for row in range(sheet.nrows):
        for column, kind in enumerate(sheet.row_types(row)):
            if kind == xlrd.XL_CELL_ERROR:
                shown[row, column] = xlrd.error_text_from_code.get(sheet.cell_value(row, column), "#ERR")
            elif kind == xlrd.XL_CELL_NUMBER and (number := formats.get(sheet.cell_xf_index(row, column))):
                shown[row, column] = number
    book.unload_sheet(name)
    return shown
