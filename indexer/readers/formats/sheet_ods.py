"""Numbers of ODS cells as they are shown.

The file holds the shown text of each cell beside its value. The parser of the cells gives the values alone.
"""

from __future__ import annotations

import html
import re
from collections import defaultdict
from itertools import islice, product
from zipfile import ZipFile

from indexer.readers.formats.zip_package import read_part
from indexer.readers.text.text_builder import one_line

CONTENT = "content.xml"
PART = re.compile(rb"<(table:table|table:table-row|table:table-cell|table:covered-table-cell)(?=[\s/>])([^>]*)>")
REPEATED = re.compile(rb'table:number-(?:columns|rows)-repeated="(\d{1,7})"')
NAME = re.compile(rb'table:name="([^"]*)"')
NUMBER = re.compile(rb'office:value-type="(?:float|percentage|currency|time)"')
PARAGRAPH = re.compile(rb"\s*<text:p(?:\s[^>]*)?>(.*?)</text:p>", re.DOTALL)
TAG = re.compile(rb"<[^>]*>")
MAX_SHOWN_BYTES = 4_096  # of the text of a number
MAX_COPIES = 1_000  # of a cell that is repeated
MAX_CELLS = 1_000_000


def shown_cells(archive: ZipFile) -> dict[str, dict[tuple[int, int], str]]:
    """Return the shown numbers of each sheet, by row and column from 0."""
    found: dict[str, dict[tuple[int, int], str]] = defaultdict(dict)
    content = read_part(archive, CONTENT)
    sheet, row, column, rows, remaining = "", 0, 0, 0, MAX_CELLS
    for part in PART.finditer(content):
        kind, attributes = part.groups()
        count = _repeated(attributes)
        if kind == b"table:table":
            named = NAME.search(attributes)
            sheet, row, rows = html.unescape(named.group(1).decode("utf-8", "replace")) if named else "", 0, 0
        elif kind == b"table:table-row":
            row, column, rows = row + rows, 0, count
        else:
            if NUMBER.search(attributes) and (shown := _paragraph(content, part.end())):
                text = one_line(html.unescape(TAG.sub(b"", shown.group(1)).decode("utf-8", "replace")))
                copies = islice(product(range(row, row + rows), range(column, column + count)), MAX_COPIES)
                found[sheet].update(dict.fromkeys(copies, text))
                remaining -= min(rows * count, MAX_COPIES)
                if remaining < 0:  # the other cells are shown by their values
                    break
            column += count
    return found


def _paragraph(content: bytes, position: int) -> re.Match[bytes] | None:
    return PARAGRAPH.match(content, position, position + MAX_SHOWN_BYTES)


def _repeated(attributes: bytes) -> int:
    match = REPEATED.search(attributes)
    return int(match.group(1)) if match else 1
